// SPDX-License-Identifier: Apache-2.0
/*
 * Connections that are accepted: there is no tracepoint, and the system call's exit would cost all system calls. But
 * cgroups are asked when a program wants to know a socket's peer (5.8, 1b66d253610c), as accept does where the program
 * takes the address.
 */
#include "../core/connect.h"
#include "../include/syscalls.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

static __always_inline void on_peer_asked(struct bpf_sock_addr *asked)
{
	struct task_struct *task;
	struct pt_regs *regs = current_registers(&task);
	void *of = asked->sk;
	struct sock *sk;
	__u32 call;

	if (!regs || asked->protocol != IPPROTO_TCP)
		return;
	call = SYSCALL_NUMBER(regs);
	if (call != NR_ACCEPT && call != NR_ACCEPT4)
		return;
	bpf_probe_read_kernel(&sk, sizeof(sk), &of);
	note_accepted(sk);
}

SEC("?cgroup/getpeername4")
int accepts_ipv4(struct bpf_sock_addr *asked)
{
	on_peer_asked(asked);
	return 1;
}

SEC("?cgroup/getpeername6")
int accepts_ipv6(struct bpf_sock_addr *asked)
{
	on_peer_asked(asked);
	return 1;
}
