/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP, added up beside TCP's health (core/tcp_peer.h): by process and port. Who it was sent to, or came from, the
 * sockets of most servers do not tell.
 */
#ifndef OTEL_EBPF_UDP_H
#define OTEL_EBPF_UDP_H

#include <bpf/bpf_endian.h>
#include "process.h"
#include "tcp_peer.h"

static __always_inline bool is_udp(struct sock *sk)
{
	__u16 family = SOCKET_FIELD(sk, __sk_common.skc_family);

	return SOCKET_FIELD(sk, sk_protocol) == IPPROTO_UDP && SOCKET_FIELD(sk, sk_type) == SOCK_DGRAM &&
	       (family == AF_INET || family == AF_INET6);
}

/* Of the side that serves: this one where the program has chosen its port, else the one that it is connected to.
 * 0: neither is known. */
static __always_inline __u16 served_port(struct sock *sk)
{
	if (SOCKET_BITS(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)
		return SOCKET_FIELD(sk, __sk_common.skc_num);
	return bpf_ntohs(SOCKET_FIELD(sk, __sk_common.skc_dport));
}

static __always_inline struct tcp_peer *udp_sums(__u32 tgid, __u64 start, __u16 port)
{
	struct tcp_peer_key key = { .start = start, .process = tgid, .port = port, .kind = UDP_SOCKETS };

	return peer_of(&key);
}

#endif
