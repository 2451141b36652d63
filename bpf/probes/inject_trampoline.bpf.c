// SPDX-License-Identifier: Apache-2.0
/*
 * Rung trampoline, for sockets that stand in a map of sockets: they send by functions of their own. What was
 * written into the request is not in the caller's buffers, nor in its count.
 */
#include "../core/iterator_io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?fentry/tcp_bpf_sendmsg")
int BPF_PROG(bpf_sendmsg_entry, struct sock *sk, struct msghdr *message)
{
	enter_call(sk, message, true);
	return 0;
}

SEC("?fexit/tcp_bpf_sendmsg")
int BPF_PROG(bpf_sendmsg_exit, struct sock *sk, struct msghdr *message, unsigned long size, int result)
{
	leave_call(sk, result, true);
	return 0;
}

/* sendfile before 6.5 (dc97391e6610). */
SEC("?fexit/tcp_bpf_sendpage")
int BPF_PROG(bpf_sendpage_exit, struct sock *sk, void *page, int offset, unsigned long size, int flags,
	     int result)
{
	send_pages(sk, result);
	return 0;
}
