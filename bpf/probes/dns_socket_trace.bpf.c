// SPDX-License-Identifier: Apache-2.0
/*
 * Messages of DNS where sockets send and receive: the tracepoints sock_send_length and sock_recv_length (6.3,
 * 6e6eda44b939), which fire for UDP too. An object of its own: what TCP's payload costs is not to grow by this.
 */
#include "../core/dns_message.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* The port of the peer; of a UDP socket that is not connected 0, and of any other socket none. */
static __always_inline bool may_be_dns(const struct sock *sk, __u16 *port)
{
	*port = sk->__sk_common.skc_dport;
	if (*port == bpf_htons(DNS_PORT))
		return sk->sk_protocol == IPPROTO_UDP || sk->sk_protocol == IPPROTO_TCP;
	return !*port && sk->sk_protocol == IPPROTO_UDP;
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(dns_send_length, struct sock *sk, int result, int flags)
{
	__u16 port;

	if (result > 0 && may_be_dns(sk, &port))
		on_message(sk, port, result, true);
	return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(dns_recv_length, struct sock *sk, int result, int flags)
{
	__u16 port;

	if (result > 0 && !(flags & (MSG_PEEK | MSG_ERRQUEUE)) && may_be_dns(sk, &port))
		on_message(sk, port, result, false);
	return 0;
}
