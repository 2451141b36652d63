/* SPDX-License-Identifier: Apache-2.0 */
/* The user's buffers from the registers of the system call, which still hold its arguments. */
#ifndef OTEL_EBPF_SYSCALL_IO_H
#define OTEL_EBPF_SYSCALL_IO_H

#include "io.h"
#include "../include/syscalls.h"

static __always_inline bool receives(int number)
{
	return number == NR_READ || number == NR_READV || number == NR_PREADV2 || number == NR_RECVFROM ||
	       number == NR_RECVMSG || number == NR_RECVMMSG;
}

static __always_inline bool peeks(struct pt_regs *regs, int number)
{
	__u64 flags = 0;

	if (number == NR_RECVFROM || number == NR_RECVMMSG)
		flags = SYSCALL_ARGUMENT4(regs);
	else if (number == NR_RECVMSG)
		flags = SYSCALL_ARGUMENT3(regs);
	return flags & (MSG_PEEK | MSG_ERRQUEUE);
}

static __always_inline void unreadable(struct io *io, __u32 reason)
{
	io->kind = IO_UNREADABLE;
	io->unseen = reason;
}

static __always_inline void io_from_message(struct io *io, __u64 message)
{
	struct user_msghdr header;

	if (bpf_probe_read_user(&header, sizeof(header), (void *)message)) {
		unreadable(io, LEDGER_EVENT_FAULT);
		return;
	}
	io->kind = IO_VECTOR;
	io->base = header.vector;
	io->segments = header.vector_length;
}

/* The registers of the one system call that this task is in. `number` is not always one that
 * moves bytes itself: io_uring_enter does it for others. */
static __always_inline void io_from_registers(struct io *io, struct pt_regs *regs, int number)
{
	io->skip = 0;
	io->segments = 0;
	switch (number) {
	case NR_READ:
	case NR_WRITE:
	case NR_SENDTO:
	case NR_RECVFROM:
		io->kind = IO_FLAT;
		io->base = SYSCALL_ARGUMENT2(regs);
		break;
	case NR_READV:
	case NR_WRITEV:
	case NR_PREADV2:
	case NR_PWRITEV2:
		io->kind = IO_VECTOR;
		io->base = SYSCALL_ARGUMENT2(regs);
		io->segments = SYSCALL_ARGUMENT3(regs);
		break;
	case NR_SENDMSG:
	case NR_RECVMSG:
		io_from_message(io, SYSCALL_ARGUMENT2(regs));
		break;
	case NR_SENDMMSG:
	case NR_RECVMMSG: /* which message of several this is, the registers do not say */
		if (SYSCALL_ARGUMENT3(regs) == 1)
			io_from_message(io, SYSCALL_ARGUMENT2(regs));
		else
			unreadable(io, LEDGER_EVENT_UNSEEN_SYSCALL);
		break;
	case NR_SENDFILE:
	case NR_SPLICE:
		unreadable(io, LEDGER_EVENT_UNSEEN_KERNEL_BUFFER);
		break;
	case NR_IO_URING_ENTER:
		unreadable(io, LEDGER_EVENT_UNSEEN_IO_URING);
		break;
	default:
		unreadable(io, LEDGER_EVENT_UNSEEN_SYSCALL);
	}
}

#endif
