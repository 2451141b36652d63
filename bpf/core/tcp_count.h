/* SPDX-License-Identifier: Apache-2.0 */
/* What a socket has come to, added to what its peer has. */
#ifndef OTEL_EBPF_TCP_COUNT_H
#define OTEL_EBPF_TCP_COUNT_H

#include "tcp_socket.h"

static __always_inline struct tcp_peer *socket_peer(const struct tcp_socket *socket, __u8 kind, __u8 error)
{
	struct tcp_peer_key key = {
		.start = socket->start,
		.process = socket->process,
		.port = socket->port,
		.kind = kind,
		.error = error,
	};

	__builtin_memcpy(key.address, socket->address, sizeof(key.address));
	return peer_of(&key);
}

/* What is new. Only forward: a counter may be read in the middle of its change, and the sweep and the end of a
 * connection may do this at once. */
static __always_inline void count_on(__u64 *counted, __u64 now, __u64 *sum)
{
	__u64 before = *counted;

	if (now <= before)
		return;
	before = EXCHANGE(counted, now);
	if (now > before)
		__sync_fetch_and_add(sum, now - before);
	else
		*counted = before; /* the other was later */
}

static __always_inline void count_reading(struct tcp_socket *socket, const struct tcp_reading *now,
					  struct tcp_peer *peer)
{
	bool moved = now->acked != socket->counted.acked;

	if (now->rtt && (moved || !socket->sampled)) {
		socket->sampled = 1;
		measure(&peer->rtt, SCALE_RTT, now->rtt * US);
	}
	socket->counted.acked = now->acked;
	count_on(&socket->counted.sent, now->sent, &peer->sent);
	count_on(&socket->counted.received, now->received, &peer->received);
	count_on(&socket->counted.retransmits, now->retransmits, &peer->retransmits);
}

static __always_inline void count_resets(struct tcp_socket *socket, struct tcp_peer *peer)
{
	if (socket->reset_sent) {
		socket->reset_sent = 0;
		__sync_fetch_and_add(&peer->resets_sent, 1);
	}
	if (socket->reset_received) {
		socket->reset_received = 0;
		__sync_fetch_and_add(&peer->resets_received, 1);
	}
}

/* A listening socket's queue was full, and a connection was turned away. */
static __always_inline void count_drops(struct tcp_socket *socket, __u32 drops)
{
	__u32 more = drops - socket->drops;
	struct tcp_peer *peer;

	socket->drops = drops;
	if (!more || !is_wanted(socket))
		return;
	peer = socket_peer(socket, TCP_LISTENING, 0);
	if (peer)
		__sync_fetch_and_add(&peer->overflows, more);
}

#endif
