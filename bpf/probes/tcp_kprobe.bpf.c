// SPDX-License-Identifier: Apache-2.0
/*
 * Rung kprobe: kprobes on TCP's own functions. A return probe on a function that blocks loses
 * events silently when more threads wait than it has room for, so received bytes are taken at
 * tcp_cleanup_rbuf, which tcp_recvmsg calls with what it has copied so far.
 */
#define __VMLINUX_H__ /* bpf_tracing.h: the kernel's own names of registers */
#include "../core/iterator_io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?kprobe/tcp_sendmsg")
int BPF_KPROBE(sendmsg_entry, struct sock *sk, struct msghdr *message)
{
	enter_call(sk, message, true);
	return 0;
}

SEC("?kretprobe/tcp_sendmsg")
int BPF_KRETPROBE(sendmsg_exit, int result)
{
	leave_call(NULL, result, true);
	return 0;
}

/* `flags` is the fifth argument before 5.19 (ec095263a965), the fourth since, when the fifth is a
 * pointer into the kernel's half of the address space. */
SEC("?kprobe/tcp_recvmsg")
int BPF_KPROBE(recvmsg_entry, struct sock *sk, struct msghdr *message, unsigned long size, int fourth,
	       long fifth)
{
	enter_receive(sk, message, fifth < 0 ? fourth : (int)fifth);
	return 0;
}

SEC("?kprobe/tcp_cleanup_rbuf")
int BPF_KPROBE(cleanup_rbuf, struct sock *sk, int copied)
{
	take_copied(sk, copied, false);
	return 0;
}

/* The same function on the way to a pipe: the thread's last receive is not it. */
SEC("?kprobe/tcp_splice_read")
int BPF_KPROBE(splice_read)
{
	__u64 key = call_key(false);

	bpf_map_delete_elem(&calls_in_progress, &key);
	return 0;
}

/* sendfile before 6.5 (dc97391e6610). */
SEC("?kprobe/tcp_sendpage")
int BPF_KPROBE(sendpage_entry, struct sock *sk)
{
	enter_pages(sk);
	return 0;
}

SEC("?kretprobe/tcp_sendpage")
int BPF_KRETPROBE(sendpage_exit, int result)
{
	leave_call(NULL, result, true);
	return 0;
}
