/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the context of a client's request into its head, as `traceparent`, on its way to TCP: for servers on
 * hosts that cannot tell by the connection whose child their request is.
 *
 * Only where TCP stands at the very byte at which the connection's state (connection.h) expects a request's
 * first, and only if that request's head is there whole. A connection of which anything else is seen is let
 * go: nothing is written into it any more, and user space takes its socket out of the map.
 *
 * Faults with such sockets that all kernels have, or too many to refuse them for it, are kept clear of: is_fit and
 * stands_at_request say which.
 */
#ifndef OTEL_EBPF_INJECT_H
#define OTEL_EBPF_INJECT_H

#include "endpoint.h"
#include "inject_field.h"
#include "inject_head.h"
#include "process.h"

const volatile __u32 inject_any_port = 0; /* rules of traces.inject that name no ports */

/* Written by user space only: rules of traces.inject that name a port. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u16);
	__type(value, __u32);
} inject_ports SEC(".maps");

/* By enum injected. Read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, INJECTED_SIZE);
	__type(key, __u32);
	__type(value, __u64);
} injected SEC(".maps");

/* Sockets that were let go, for user space to take them out of the map of sockets: a program of this kind may
 * not (98e948fb60d4). */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4096);
	__type(value, __u64);
} let_go SEC(".maps");

static __always_inline void count_injected(__u32 outcome)
{
	__u64 *counter = bpf_map_lookup_elem(&injected, &outcome);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

/* Whether the rules select what a process asks of a port, and its requests are observed at all. */
static __always_inline bool selects(const struct process_control *process, __u16 port)
{
	__u32 *by_port;

	if (!process || !process->inject || process->verdict != VERDICT_ON || !admitted_port(process, port))
		return false;
	if (process->inject & inject_any_port)
		return true;
	by_port = bpf_map_lookup_elem(&inject_ports, &port);
	return by_port && process->inject & *by_port;
}

static __always_inline void let_connection_go(struct injecting *known, __u64 socket, __u32 outcome)
{
	known->state = INJECTING_LET_GO;
	count_injected(outcome);
	bpf_map_push_elem(&let_go, &socket, 0);
}

/*
 * Whether the socket does in a map of sockets what it does elsewhere. Reads that wait there end with EAGAIN, where
 * others wait on, or tell that the connection was reset (tcp_msg_wait_data waits but once). And on older kernels
 * nobody is told when buffers of MSG_ZEROCOPY are free, for which SO_ZEROCOPY is set.
 */
static __always_inline bool is_fit(const struct sock *sk)
{
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);
	struct file *file = socket ? BPF_CORE_READ(socket, file) : NULL;
	__u64 zerocopy = 1ULL << bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY);

	return file && BPF_CORE_READ(file, f_flags) & O_NONBLOCK &&
	       !(BPF_CORE_READ(sk, __sk_common.skc_flags) & zerocopy);
}

/* A request that is about to be sent. */
struct request_place {
	__u64 connection;
	__u64 offset;
};

/*
 * Whether the next byte is a request's first: 1, 0 for amid a request, less for not known. And whether all before
 * was acknowledged, so that TCP has room: of a message that it takes a part of, the caller is told a number in
 * which what was written and not taken is missing (tcp_bpf_send_verdict), and would send as much twice.
 */
static __always_inline int stands_at_request(struct request_place *place, __u64 socket)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)socket;
	const struct connection *conn = find_connection(socket);
	__u32 next = BPF_CORE_READ(tp, write_seq);

	if (!conn) { /* the first byte of who has connected: its SYN is all that was acknowledged */
		place->connection = (__u64)BPF_CORE_READ(tp, snd_una) << 32 | BPF_CORE_READ(tp, rcv_nxt);
		place->offset = 0;
		return next == BPF_CORE_READ(tp, snd_una) && BPF_CORE_READ(tp, bytes_acked) == 1 &&
				       !BPF_CORE_READ(tp, bytes_received) ?
			       1 :
			       -1;
	}
	if (conn->mode != MODE_EXCHANGE || conn->tls.phase != TLS_NONE ||
	    conn->record.header.role != ROLE_CLIENT ||
	    conn->record.header.flags & (CAPTURE_OLD | CAPTURE_ROLE_GUESSED))
		return -1;
	if (conn->phase != PHASE_IDLE || conn->request_due || conn->discard_chunks)
		return 0;
	if (!(conn->record.header.flags & CAPTURE_HTTP1))
		return -1;
	place->connection = conn->record.header.connection;
	place->offset = conn->sent;
	if (next != conn->local_start + (__u32)conn->sent)
		return 0; /* a later part of a large message */
	return next == BPF_CORE_READ(tp, snd_una) ? 1 : -1;
}

/* A message that begins a request. */
static __always_inline int write_into(struct sk_msg_md *message, struct injecting *known, __u64 socket,
				      const struct request_place *at)
{
	__u32 reach = message->size < INJECT_HEAD_MAX ? message->size : INJECT_HEAD_MAX, place;
	struct asked *asked;

	known->scan.found = INJECTED_FAILED;
	known->written = 0;
	if (!reach || bpf_msg_pull_data(message, 0, reach, 0))
		return SK_PASS;
	place = find_place(message, known, socket);
	if (!place)
		return SK_PASS;
	asked = note_asked(at->connection, at->connection, at->offset, socket);
	if (!asked) {
		known->scan.found = INJECTED_FAILED;
		return SK_PASS;
	}
	return write_field(message, &asked->context, place, known);
}

/* A socket of those that were taken is about to send a message. */
static __always_inline int on_message(struct sk_msg_md *message, __u64 socket)
{
	struct injecting *known = bpf_map_lookup_elem(&injecting, &socket);
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct request_place at;
	int stands, verdict;
	__u16 port;

	if (!known || known->state != INJECTING_OPEN)
		return SK_PASS;
	port = bpf_ntohs(BPF_CORE_READ((struct sock *)socket, __sk_common.skc_dport));
	if (!selects(bpf_map_lookup_elem(&processes, &tgid), port))
		return SK_PASS;
	if (!is_fit((struct sock *)socket)) {
		let_connection_go(known, socket, INJECTED_UNFIT);
		return SK_PASS;
	}
	stands = stands_at_request(&at, socket);
	if (!stands)
		return SK_PASS;
	if (stands < 0) {
		let_connection_go(known, socket, INJECTED_UNKNOWN);
		return SK_PASS;
	}
	verdict = write_into(message, known, socket, &at);
	if (known->scan.found == INJECTED_WRITTEN || known->scan.found == INJECTED_PRESENT)
		count_injected(known->scan.found);
	else
		let_connection_go(known, socket, known->scan.found);
	return verdict;
}

#endif
