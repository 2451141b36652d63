// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes of UDP: the tracepoints sock_send_length and sock_recv_length (6.3, 6e6eda44b939), which fire for all sockets
 * and whatever way the call was made. Where TCP's payload stands on the same tracepoints, its programs hand over to
 * these, which hand over to those of lookups: a call runs one program.
 */
#define TRUSTED_SOCKETS /* the tracepoints are newer than what it takes */
#include "../core/dns_programs.h"
#include "../core/udp.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

static __always_inline void count_datagrams(struct sock *sk, __u32 length, bool sending)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process_control *process = is_excluded(tgid) ? NULL : current_process(tgid);
	__u16 port = served_port(sk);
	struct tcp_peer *sums;

	if (!process || !is_counted(process, port))
		return;
	sums = udp_sums(tgid, process->start, port);
	if (sums)
		__sync_fetch_and_add(sending ? &sums->sent : &sums->received, length);
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(udp_send_length, struct sock *sk, int result, int flags)
{
	__u16 port;

	if (result > 0 && is_udp(sk))
		count_datagrams(sk, result, true);
	if (may_be_dns(sk, &port))
		bpf_tail_call(ctx, &dns_programs, SOCKET_SEND);
	return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(udp_recv_length, struct sock *sk, int result, int flags)
{
	__u16 port;

	if (result > 0 && !(flags & (MSG_PEEK | MSG_ERRQUEUE)) && is_udp(sk))
		count_datagrams(sk, result, false);
	if (may_be_dns(sk, &port))
		bpf_tail_call(ctx, &dns_programs, SOCKET_RECEIVE);
	return 0;
}
