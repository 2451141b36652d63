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

#define SYSCALL_NUMBERS 512 /* a power of two above all that move bytes */

/* Where a system call's buffers stand: an enum io_kind, or one of these. A table, since the numbers
 * alternate, and a branch for each would be guessed wrongly as often. */
enum {
	WAY_MESSAGE = 16,
	WAY_MESSAGES,
	WAY_KERNEL,
	WAY_IO_URING,
};

static const __u8 syscall_ways[SYSCALL_NUMBERS] = {
	[NR_READ] = IO_FLAT,        [NR_WRITE] = IO_FLAT,         [NR_SENDTO] = IO_FLAT,
	[NR_RECVFROM] = IO_FLAT,    [NR_READV] = IO_VECTOR,       [NR_WRITEV] = IO_VECTOR,
	[NR_PREADV2] = IO_VECTOR,   [NR_PWRITEV2] = IO_VECTOR,    [NR_SENDMSG] = WAY_MESSAGE,
	[NR_RECVMSG] = WAY_MESSAGE, [NR_SENDMMSG] = WAY_MESSAGES, [NR_RECVMMSG] = WAY_MESSAGES,
	[NR_SENDFILE] = WAY_KERNEL, [NR_SPLICE] = WAY_KERNEL,     [NR_IO_URING_ENTER] = WAY_IO_URING,
};

static __always_inline void io_from_other(struct io *io, const struct pt_regs *regs, __u32 way)
{
	if (way == WAY_MESSAGE)
		io_from_message(io, SYSCALL_ARGUMENT2(regs));
	else if (way == WAY_KERNEL)
		unreadable(io, LEDGER_EVENT_UNSEEN_KERNEL_BUFFER);
	else if (way == WAY_IO_URING)
		unreadable(io, LEDGER_EVENT_UNSEEN_IO_URING);
	else if (way == WAY_MESSAGES && SYSCALL_ARGUMENT3(regs) == 1)
		io_from_message(io, SYSCALL_ARGUMENT2(regs));
	else /* also: which message of several this is, the registers do not say */
		unreadable(io, LEDGER_EVENT_UNSEEN_SYSCALL);
}

/* The registers of the one system call that this task is in. `number` is not always one that
 * moves bytes itself: io_uring_enter does it for others. */
static __always_inline void io_from_registers(struct io *io, const struct pt_regs *regs, __u32 number)
{
	__u32 way = number < SYSCALL_NUMBERS ? syscall_ways[number] : 0;

	io->skip = 0;
	io->segments = 0;
	if (way != IO_FLAT && way != IO_VECTOR) {
		io_from_other(io, regs, way);
		return;
	}
	io->kind = way;
	io->base = SYSCALL_ARGUMENT2(regs);
	if (REGISTERS_ARE_FREE || way == IO_VECTOR)
		io->segments = SYSCALL_ARGUMENT3(regs);
}

#endif
