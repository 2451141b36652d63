/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that end by a reset, from either side. */
#ifndef OTEL_EBPF_TCP_RESET_H
#define OTEL_EBPF_TCP_RESET_H

#include "tcp_count.h"

/* Of a connection, that is: one that refuses it ends an attempt. */
static __always_inline void on_reset_received(struct sock *sk)
{
	struct tcp_socket *socket = find_tcp_socket(sk);

	if (socket && socket->phase == TCP_OPEN)
		socket->reset_received = 1; /* counted when it ends, which is next */
}

/* Behind the end, where the process closed with bytes unread. */
static __noinline void on_reset_sent(struct sock *sk)
{
	struct tcp_socket *socket = find_tcp_socket(sk);
	struct tcp_peer *peer;

	if (!socket || socket->phase == TCP_CONNECTING || socket->phase == TCP_FAILED ||
	    socket->kind == TCP_LISTENING)
		return;
	socket->reset_sent = 1;
	if (socket->phase != TCP_ENDED || !socket->settled || !is_wanted(socket))
		return;
	peer = socket_peer(socket, socket->kind, 0);
	if (peer)
		count_resets(socket, peer);
}

#endif
