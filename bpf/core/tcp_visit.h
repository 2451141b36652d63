/* SPDX-License-Identifier: Apache-2.0 */
/* What of TCP's health no event tells: connections that are open, and were before the agent. */
#ifndef OTEL_EBPF_TCP_VISIT_H
#define OTEL_EBPF_TCP_VISIT_H

#include "tcp_count.h"

/* Its number. Written by user space before each sweep, read by it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tcp_sweep SEC(".maps");

/* A socket from before the agent: counted from here on. Its role is settled as in core/endpoint.h. */
static __noinline void meet_socket(struct sock *sk, struct task_struct *task, __u8 state)
{
	struct tcp_socket socket = { .phase = TCP_OPEN };
	struct tcp_counters counters;
	__u8 role;

	if (state == TCP_LISTEN) {
		socket.kind = TCP_LISTENING;
		socket.drops = BPF_CORE_READ(sk, sk_drops.counter);
	} else {
		role = read_counters(&counters, (const struct tcp_sock *)sk) ? tcp_role(&counters, state) :
									       ROLE_UNKNOWN;
		socket.kind = role == ROLE_CLIENT ? TCP_CONNECTED : TCP_ACCEPTED;
		if (role == ROLE_UNKNOWN) {
			account(LEDGER_TCP_ROLE_UNKNOWN);
			socket.ignored = 1;
		}
		read_tcp(&socket.counted, sk);
	}
	read_peer(&socket, sk);
	learn_owner(&socket, sk);
	if (!socket.process)
		set_owner(&socket, task);
	keep_socket(sk, &socket);
}

/* A process that is gone, or another program now, may have left the socket to its children. */
static __always_inline bool owner_lives(const struct tcp_socket *socket)
{
	struct process_control *process = bpf_map_lookup_elem(&processes, &socket->process);

	return process && process->start == socket->start;
}

static __noinline void visit_socket(struct sock *sk, struct task_struct *task, __u32 sweep)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct tcp_socket *socket = find_tcp_socket(sk);
	struct tcp_reading now;
	struct tcp_peer *peer;

	if (state == TCP_CLOSE || state == TCP_SYN_SENT || state == TCP_SYN_RECV)
		return;
	if (!socket) {
		meet_socket(sk, task, state);
		socket = find_tcp_socket(sk);
	}
	if (socket && socket->phase == TCP_CONNECTING)
		socket->phase = TCP_OPEN; /* which no hook has seen (event_missed) */
	if (!socket || socket->phase != TCP_OPEN || socket->sweep == sweep)
		return;
	socket->sweep = sweep;
	if (!socket->process)
		learn_owner(socket, sk);
	if (!socket->process || !owner_lives(socket))
		set_owner(socket, task);
	if (socket->kind == TCP_LISTENING) {
		count_drops(socket, BPF_CORE_READ(sk, sk_drops.counter));
		return;
	}
	if (!is_wanted(socket))
		return;
	peer = socket_peer(socket, socket->kind, 0);
	if (!peer)
		return;
	read_tcp(&now, sk);
	count_reading(socket, &now, peer);
	__sync_fetch_and_add(&peer->active, 1);
}

#endif
