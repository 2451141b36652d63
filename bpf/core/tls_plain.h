/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plaintext, as a TLS library takes it from the application or hands it over: from here on it is what
 * on_send and on_receive are for a socket without encryption.
 *
 * Budget: 1 us a call beside the probe's own trap.
 */
#ifndef OTEL_EBPF_TLS_PLAIN_H
#define OTEL_EBPF_TLS_PLAIN_H

#include "tls_find.h"

/* Global for the same reasons as `scan_step`. */
__noinline int count_plain(__u64 key, __u32 length, int sending, int slot)
{
	struct connection *conn = find_connection(key);
	struct call *call = this_call(slot);
	__u32 exchanges;

	if (!conn || !call)
		return 0;
	exchanges = conn->exchanges;
	conn->last = call->now;
	conn->tls.within = 0;
	if (conn->tls.phase == TLS_HANDSHAKE) /* data that the server sends half a round trip early */
		report_handshake(conn, END_NONE, 0);
	count_meant(conn, NULL, call, length, sending, slot, call->now);
	if (conn->exchanges != exchanges && conn->tls.reported) {
		conn->record.header.flags |= CAPTURE_FIRST;
		conn->tls.reported = 0;
	}
	if (!is_socket(key) && conn->phase == PHASE_IDLE && conn->exchanges && !conn->tls.nameless) {
		count_binding(TLS_METHOD_NONE, TLS_UNKNOWN);
		conn->tls.nameless = 1;
	}
	return 0;
}

/*
 * When the bytes passed: a request that is asked from the call's entry on; all else when the socket moved
 * it, within the call or, of libraries that work in memory, before it.
 */
static __always_inline __u64 time_of(const struct connection *conn, const struct tls_call *call)
{
	if (call->kind == TLS_WRITES && conn->record.header.role == ROLE_CLIENT)
		return call->entered;
	if (call->moved_at)
		return call->moved_at;
	if (call->kind == TLS_READS && conn->tls.received_at && !has_kernel_tls(conn))
		return conn->tls.received_at;
	return bpf_ktime_get_boot_ns();
}

/* What a thread wrote that has no socket yet: the next it sends may be it. */
static __noinline void await_send(const struct tls_call *call, __u32 length)
{
	struct tls_thread *thread = this_thread(true);

	if (!thread)
		return;
	if (thread->writer && thread->writer != call->session)
		thread->crossed_at = bpf_ktime_get_boot_ns();
	thread->writer = call->session;
	thread->written = length < 16384 ? length : 16384;
}

/* A call returns without plaintext, on whose account the connection was kept. */
static __always_inline void end_kept(__u64 socket)
{
	struct connection *conn = find_connection(socket);

	if (conn && conn->tls.ended && wait_lock(conn))
		end_connection(conn, conn->tls.ended, conn->tls.ended_error);
}

/* Plaintext has passed, as the slot's `tls` says. */
static __always_inline void on_plaintext(__u32 slot)
{
	struct call *scratch = this_call(slot);
	struct tls_session *session;
	const struct tls_call *call;
	struct connection *conn;
	__u32 length;

	if (!scratch)
		return;
	call = &scratch->tls;
	length = call->length;
	if (!length) {
		end_kept(call->socket);
		return;
	}
	session = find_session(call->session, !call->nested_only || call->socket);
	if (!session)
		return;
	conn = enter_plain(session, call, length);
	if (!conn)
		return;
	scratch->now = time_of(conn, call);
	scratch->thread = bpf_get_current_pid_tgid();
	scratch->io.base = call->buffer;
	scratch->io.segments = scratch->io.skip = 0;
	scratch->io.kind = call->buffer ? IO_FLAT : IO_UNREADABLE;
	count_plain(conn->record.header.socket, length, call->kind == TLS_WRITES, slot);
	if (call->kind == TLS_WRITES && !is_socket(session->socket))
		await_send(call, length);
	if (conn->tls.ended) {
		end_connection(conn, conn->tls.ended, conn->tls.ended_error);
		return;
	}
	release(conn);
}

#endif
