// SPDX-License-Identifier: Apache-2.0
/*
 * Rung syscall: the exit of every system call (tracepoint sys_exit), where result and arguments
 * both stand in the registers. The socket is found by walking the process's descriptors.
 */
#ifndef BASELINE
#define TRUSTED_REGISTERS /* the arguments of tp_btf programs are typed pointers */
#endif
#include "../core/descriptor.h"
#include "../core/event.h"
#include "../core/syscall_io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* Several messages of one call are one stretch of the stream; what is behind the first is counted. */
static __always_inline long message_bytes(struct pt_regs *regs, long messages)
{
	struct user_mmsghdr *vector = (struct user_mmsghdr *)SYSCALL_ARGUMENT2(regs);
	long total = 0;

	for (int i = 0; i < 16 && i < messages; i++) {
		__u32 length = 0;

		bpf_probe_read_user(&length, sizeof(length), &vector[i].length);
		total += length;
	}
	return total;
}

static __always_inline bool sends(int number)
{
	return number == NR_WRITE || number == NR_WRITEV || number == NR_PWRITEV2 || number == NR_SENDTO ||
	       number == NR_SENDMSG || number == NR_SENDMMSG || number == NR_SENDFILE;
}

/* splice and its like go from a pipe to a socket or from a socket to a pipe. */
static __always_inline struct sock *spliced(struct pt_regs *regs, struct task_struct *task, bool *sending)
{
	struct sock *to = socket_of(task, SYSCALL_ARGUMENT3(regs));

	*sending = to;
	return to ? to : socket_of(task, SYSCALL_ARGUMENT1(regs));
}

static __always_inline void on_call(struct task_struct *task, struct pt_regs *regs, int number, long result)
{
	bool sending = sends(number);
	struct call *call;
	struct sock *sk;

	sk = number == NR_SPLICE ? spliced(regs, task, &sending) : socket_of(task, SYSCALL_ARGUMENT1(regs));
	call = this_call(sending);
	if (!sk || !call)
		return;
	if (number == NR_RECVMMSG || number == NR_SENDMMSG)
		result = message_bytes(regs, result);
	io_from_registers(&call->io, regs, number);
	if (result > 0)
		on_bytes(sk, call, result, sending);
	else if (!sending)
		on_end_of_stream(sk);
}

/* A 32-bit caller's numbers and registers are others: its calls are counted, not read. */
static __always_inline void on_compat_call(struct task_struct *task, struct pt_regs *regs, int number)
{
	__u32 first = argument1_of_32_bit(regs);

	if (number == NR_I386_SOCKETCALL ? first >= 9 /* SYS_SEND */ : !!socket_of(task, first))
		account(LEDGER_EVENT_UNSEEN_COMPAT);
}

static __always_inline bool moves_bytes(__u32 number)
{
	return number < SYSCALL_NUMBERS && syscall_ways[number] && syscall_ways[number] != WAY_IO_URING;
}

/* Most calls of the host end at the first test. */
static __always_inline void on_exit_of(struct pt_regs *regs, struct task_struct *task, long result)
{
	int number = SYSCALL_NUMBER(regs);
	bool ours = moves_bytes(number), theirs = moves_bytes_i386(number);

	if (result < 0 || (!ours && !theirs))
		return;
	if (!called_by_32_bit(task)) {
		if (ours && !peeks(regs, number))
			on_call(task, regs, number, result);
	} else if (theirs) {
		on_compat_call(task, regs, number);
	}
}

#ifdef BASELINE
SEC("?raw_tp/sys_exit")
int syscall_exit(struct bpf_raw_tracepoint_args *ctx)
{
	on_exit_of((struct pt_regs *)ctx->args[0], (struct task_struct *)bpf_get_current_task(),
		   ctx->args[1]);
	return 0;
}
#else
SEC("?tp_btf/sys_exit")
int BPF_PROG(syscall_exit, struct pt_regs *regs, long result)
{
	on_exit_of(regs, bpf_get_current_task_btf(), result);
	return 0;
}
#endif
