/* SPDX-License-Identifier: Apache-2.0 */
/* Which sockets may speak DNS, told by two loads of what is in the processor's cache anyway. */
#ifndef OTEL_EBPF_DNS_SOCKET_H
#define OTEL_EBPF_DNS_SOCKET_H

#include <bpf/bpf_endian.h>
#include "../include/compat.h"

#define DNS_PORT 53

/* The port of the peer; of a UDP socket that is not connected 0, and of any other socket none. */
static __always_inline bool may_be_dns(const struct sock *sk, __u16 *port)
{
	*port = sk->__sk_common.skc_dport;
	if (*port == bpf_htons(DNS_PORT))
		return sk->sk_protocol == IPPROTO_UDP || sk->sk_protocol == IPPROTO_TCP;
	return !*port && sk->sk_protocol == IPPROTO_UDP;
}

#endif
