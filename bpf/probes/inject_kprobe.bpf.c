// SPDX-License-Identifier: Apache-2.0
/* Rung kprobe: the same as inject_trampoline. */
#define __VMLINUX_H__ /* bpf_tracing.h: the kernel's own names of registers */
#include "../core/iterator_io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?kprobe/tcp_bpf_sendmsg")
int BPF_KPROBE(bpf_sendmsg_entry, struct sock *sk, struct msghdr *message)
{
	enter_call(sk, message, true);
	return 0;
}

SEC("?kretprobe/tcp_bpf_sendmsg")
int BPF_KRETPROBE(bpf_sendmsg_exit, int result)
{
	leave_call(NULL, result, true);
	return 0;
}

/* sendfile before 6.5 (dc97391e6610). */
SEC("?kprobe/tcp_bpf_sendpage")
int BPF_KPROBE(bpf_sendpage_entry, struct sock *sk)
{
	enter_pages(sk);
	return 0;
}

SEC("?kretprobe/tcp_bpf_sendpage")
int BPF_KRETPROBE(bpf_sendpage_exit, int result)
{
	leave_call(NULL, result, true);
	return 0;
}
