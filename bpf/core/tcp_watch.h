/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How TCP sockets begin and end. Most of it happens in softirqs, where the current process is any: whose a
 * socket is, is told by who connects, listens, moves bytes or closes (learn_owner).
 */
#ifndef OTEL_EBPF_TCP_WATCH_H
#define OTEL_EBPF_TCP_WATCH_H

#include "own.h"
#include "tcp_count.h"

/* How an attempt to connect has ended. */
static __noinline void count_attempt(struct tcp_socket *socket, __u64 now)
{
	struct tcp_peer *peer;

	if (!is_wanted(socket))
		return;
	peer = socket_peer(socket, TCP_CONNECT, socket->error);
	if (peer)
		measure(&peer->time, SCALE_CONNECT, now - socket->began);
}

/* A socket that is over, once it is known whose it was. */
static __noinline void count_end(struct tcp_socket *socket)
{
	struct tcp_peer *peer;

	socket->settled = 1;
	if (!is_wanted(socket) ||
	    (socket->phase == TCP_FAILED && socket->last.retransmits == socket->counted.retransmits))
		return;
	peer = socket_peer(socket, socket->kind, 0);
	if (!peer)
		return;
	count_reading(socket, &socket->last, peer);
	count_resets(socket, peer);
	if (socket->established && socket->phase == TCP_ENDED)
		measure(&peer->time, SCALE_DURATION, socket->ended - socket->established);
}

/* In the system call that connects, while the process certainly exists: user space is told of it. */
static __noinline void on_connecting(struct sock *sk)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct tcp_socket socket = { .kind = TCP_CONNECTED, .began = bpf_ktime_get_boot_ns() };
	struct process_control *process;

	if (is_excluded(tgid))
		return;
	process = current_process(tgid);
	if (process && process->verdict == VERDICT_OFF)
		return;
	set_owner(&socket, (struct task_struct *)bpf_get_current_task());
	read_peer(&socket, sk);
	read_tcp(&socket.counted, sk); /* of a socket that has tried before */
	keep_socket(sk, &socket);
}

static __noinline void on_listening(struct sock *sk)
{
	struct tcp_socket socket = { .kind = TCP_LISTENING, .phase = TCP_OPEN };

	set_owner(&socket, (struct task_struct *)bpf_get_current_task());
	read_peer(&socket, sk);
	keep_socket(sk, &socket);
}

/* A connection that came in. Nobody has it yet, and the other end may be the agent. */
static __always_inline void on_accepted(struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct tcp_socket socket = { .kind = TCP_ACCEPTED, .phase = TCP_OPEN };

	socket.established = bpf_ktime_get_boot_ns();
	socket.ignored = is_own((__u64)BPF_CORE_READ(tp, rcv_nxt) << 32 | BPF_CORE_READ(tp, snd_una));
	read_peer(&socket, sk);
	keep_socket(sk, &socket);
}

static __noinline void on_established(struct sock *sk, int from)
{
	struct tcp_socket *socket = find_tcp_socket(sk);

	if (socket && socket->phase == TCP_CONNECTING) {
		socket->phase = TCP_OPEN;
		socket->established = bpf_ktime_get_boot_ns();
		count_attempt(socket, socket->established);
	} else if (from == TCP_SYN_RECV && is_tcp(sk)) {
		on_accepted(sk);
	}
}

/* What is to be told of an attempt that no error ended: its process gave up, or had no port for it. */
static __always_inline __u8 no_error(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_shutdown) ? ECONNABORTED : EADDRNOTAVAIL;
}

/* A softirq that interrupts the hook in a system call runs no hook (event_missed). So a connection may be
 * over that was never seen to be open: the state that it leaves tells. */
static __always_inline bool never_open(const struct tcp_socket *socket, int from)
{
	return socket->phase == TCP_CONNECTING && (from == TCP_SYN_SENT || from == TCP_SYN_RECV);
}

/* TCP has come to its end, which may be before that of the socket: then who closes it owns it. */
static __noinline void on_over(struct sock *sk, int from)
{
	struct tcp_socket *socket = find_tcp_socket(sk);

	if (!socket || socket->phase > TCP_OPEN)
		return;
	if (socket->kind == TCP_LISTENING) {
		count_drops(socket, BPF_CORE_READ(sk, sk_drops.counter));
		socket->phase = TCP_ENDED;
		socket->settled = 1;
		return;
	}
	learn_owner(socket, sk);
	socket->ended = bpf_ktime_get_boot_ns();
	read_tcp(&socket->last, sk);
	if (never_open(socket, from)) {
		socket->error = BPF_CORE_READ(sk, sk_err) ?: no_error(sk);
		socket->phase = TCP_FAILED;
		count_attempt(socket, socket->ended);
	} else {
		socket->phase = TCP_ENDED;
	}
	if (socket->process)
		count_end(socket);
	else if (has_flag(sk, SOCK_DEAD))
		socket->settled = 1; /* its close was not seen: event_missed has that */
}

static __noinline void on_closing(struct sock *sk)
{
	struct tcp_socket *socket = find_tcp_socket(sk);

	if (socket)
		learn_owner(socket, sk);
}

/* Before core/lifecycle.h takes the connection away that tells whose it is. Connections that end are asked for by
 * their socket alone: of what is not TCP there are none. */
static __always_inline void on_tcp_state(struct sock *sk, int from, int to)
{
	if (to == TCP_SYN_SENT) {
		if (is_tcp(sk))
			on_connecting(sk);
	} else if (to == TCP_LISTEN) {
		if (is_tcp(sk))
			on_listening(sk);
	} else if (to == TCP_ESTABLISHED) {
		on_established(sk, from);
	} else if (to == TCP_CLOSE) {
		on_over(sk, from);
	} else if (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK) {
		on_closing(sk);
	}
}

/* A socket that was over before anybody had used it is destroyed by who closes it. */
static __noinline void on_tcp_destroyed(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct tcp_socket *socket = find_tcp_socket(sk);

	if (!socket)
		return;
	if (socket->phase <= TCP_OPEN)
		on_over(sk, TCP_CLOSE); /* which was not seen */
	if (socket->phase > TCP_OPEN && !socket->settled) {
		set_owner(socket, (struct task_struct *)bpf_get_current_task());
		count_end(socket);
	}
	bpf_map_delete_elem(&tcp_sockets, &key);
}

#endif
