/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where nothing tells what a thread works on, as in a JVM: what a process asks it asks on behalf of the one
 * request that it has been asked, if no other was open since that began.
 *
 * Requests are counted from their first byte on, so that one whose head is yet to come counts. A process of which
 * requests may have passed unseen has one more that never ends (distrust.h): then none is alone any more.
 *
 * What is asked after an answer may be asked while the next request is alone. Therefore the process is believed
 * once it has been quiet for a moment, a number of times, after requests on whose behalf it has asked; and until
 * it asks while no request is open.
 */
#ifndef OTEL_EBPF_SERVING_PROCESS_H
#define OTEL_EBPF_SERVING_PROCESS_H

#include "serving.h"

#define QUIET_FOR 100000000ULL /* ns */
#define QUIET_TIMES 16

#define NOW_IN(place) (*(volatile __u64 *)&(place))

/* The current process has received a request's first bytes. */
__noinline int request_begun(__u64 socket)
{
	struct runtime_control *runtime = counted_process(bpf_get_current_pid_tgid() >> 32);
	struct connection *conn = find_connection(socket);
	struct requests_of_process *requests;
	__u64 ended, begun;

	if (!runtime || !conn || conn->counted)
		return 0;
	requests = &runtime->requests;
	ended = NOW_IN(requests->ended); /* first: one that begins meanwhile makes them differ */
	begun = NOW_IN(requests->begun);
	conn->counted = 1;
	conn->alone_as = 0;
	if (begun == ended) {
		if (requests->asked && requests->quiet_since && runtime->trust < QUIET_TIMES &&
		    bpf_ktime_get_boot_ns() - requests->quiet_since > QUIET_FOR)
			runtime->trust++;
		requests->asked = 0;
		requests->last = socket;
		conn->alone_as = begun + 1;
	}
	__sync_fetch_and_add(&requests->begun, 1);
	return 0;
}

static __always_inline bool was_answered(const struct connection *conn)
{
	__u8 end = conn->record.header.end;

	return conn->response.state == HEAD_DONE && end != END_RESET && end != END_TURN && end != END_IDLE;
}

/* An exchange has ended: a request that a process was asked, or one that it made while none was open. */
__noinline int request_ended(__u64 socket)
{
	struct connection *conn = find_connection(socket);
	struct runtime_control *runtime;

	if (!conn)
		return 0;
	runtime = counted_process(conn->record.header.process);
	if (!runtime)
		return 0;
	if (conn->record.header.role == ROLE_CLIENT) {
		/* Before it was quiet for once, it may be a request's that began before the process was known. */
		if (conn->request.state == HEAD_DONE && runtime->trust)
			distrust(conn->record.header.process);
		return 0;
	}
	conn->counted = 0;
	/* What is not understood may be several at once, or go on. */
	if (conn->request.state == HEAD_UNKNOWN || conn->record.header.end == END_UPGRADE)
		return distrust(conn->record.header.process);
	/* Who has given up waiting is served on. */
	if (!was_answered(conn))
		runtime->trust = 0;
	runtime->requests.quiet_since = bpf_ktime_get_boot_ns();
	__sync_fetch_and_add(&runtime->requests.ended, 1);
	return 0;
}

/* The socket of the request that the current process works on when it asks others, else the source of a context
 * that has no parent. Global for the same reason. */
__noinline __u64 process_serves(void)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct runtime_control *runtime = counted_process(process);
	const struct connection *conn;
	__u64 ended, begun;

	if (!runtime)
		return CONTEXT_ROOT;
	ended = NOW_IN(runtime->requests.ended);
	begun = NOW_IN(runtime->requests.begun);
	if (begun == ended) {
		runtime->requests.quiet_since = 0;
		return begun ? CONTEXT_ANSWERED : CONTEXT_ROOT;
	}
	runtime->requests.asked = 1;
	conn = find_connection(runtime->requests.last);
	if (!conn || runtime->trust != QUIET_TIMES || conn->alone_as != begun || !conn->counted ||
	    !is_served(conn) || conn->record.header.process != process)
		return CONTEXT_AMBIGUOUS;
	return conn->record.header.socket;
}

#endif
