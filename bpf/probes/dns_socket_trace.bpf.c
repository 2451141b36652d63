// SPDX-License-Identifier: Apache-2.0
/*
 * Messages of DNS where sockets send and receive: the tracepoints sock_send_length and sock_recv_length (6.3,
 * 6e6eda44b939), which fire for UDP too. An object of its own: what TCP's payload costs is not to grow by this.
 * Where that stands on the same tracepoints, its programs hand over to these, and a call runs one program.
 */
#include "../core/dns_message.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

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
