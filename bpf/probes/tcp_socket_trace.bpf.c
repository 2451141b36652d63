// SPDX-License-Identifier: Apache-2.0
/*
 * Rung socket_trace: the tracepoints sock_send_length and sock_recv_length (6.3, 6e6eda44b939).
 * They fire in every socket call with the result in hand, and only there; the buffers are in the
 * system call's registers, which io_uring's workers do not have.
 */
#define TRUSTED_REGISTERS /* bpf_task_pt_regs returns a typed pointer */
#include "../core/event.h"
#include "../core/syscall_io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

#define PF_IO_WORKER 0x00000010

static __always_inline void current_io(struct io *io)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	if (task->flags & (PF_IO_WORKER | PF_KTHREAD))
		unreadable(io, LEDGER_EVENT_UNSEEN_IO_URING);
	else if (called_by_32_bit(task))
		unreadable(io, LEDGER_EVENT_UNSEEN_COMPAT);
	else
		io_from_registers(io, regs, SYSCALL_NUMBER(regs));
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int result, int flags)
{
	struct call *call = this_call(true);

	if (result <= 0 || !call)
		return 0;
	current_io(&call->io);
	on_send(sk, call, result);
	return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int result, int flags)
{
	struct call *call = this_call(false);

	if (result < 0 || flags & (MSG_PEEK | MSG_ERRQUEUE) || !call)
		return 0;
	current_io(&call->io);
	on_receive(sk, call, result);
	return 0;
}
