/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's buffers from the iov_iter that tcp_sendmsg and tcp_recvmsg are given. It is read at
 * entry, since at exit it is consumed; the bytes themselves are read at exit, when it is known how
 * many passed. Between the two, what was read waits under the thread's id.
 */
#ifndef OTEL_EBPF_ITERATOR_IO_H
#define OTEL_EBPF_ITERATOR_IO_H

#include "event.h"
#include "syscall_io.h"

struct call_in_progress {
	__u64 socket;
	struct io io;
	__u32 counted; /* of a receive: bytes already reported */
	__u32 older; /* than the hooks */
};

/* Inserted at entry, deleted at exit (a receive on the kprobe rung: overwritten by the next). Key:
 * thread, and whether it sends. LRU, so that calls whose exit is missed do not fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct call_in_progress);
} calls_in_progress SEC(".maps");

static __always_inline __u64 call_key(bool sending)
{
	return bpf_get_current_pid_tgid() ^ (__u64)sending << 63;
}

static __always_inline void io_from_iterator(struct io *io, const struct iov_iter *iter)
{
	io->skip = BPF_CORE_READ(iter, iov_offset);
	io->segments = BPF_CORE_READ(iter, nr_segs);
	switch (iterator_kind(iter)) {
	case ITERATOR_FLAT:
		io->kind = IO_FLAT;
		io->base = (__u64)BPF_CORE_READ(iter, ubuf) + io->skip;
		break;
	case ITERATOR_USER:
		io->kind = IO_KERNEL_VECTOR;
		io->base = (__u64)iterator_vector(iter);
		break;
	case ITERATOR_KERNEL:
		io->kind = IO_KERNEL_BUFFERS;
		io->base = (__u64)iterator_vector(iter);
		break;
	default:
		io->kind = IO_UNREADABLE;
		io->unseen = LEDGER_EVENT_UNSEEN_KERNEL_BUFFER;
	}
}

static __always_inline void enter_call(struct sock *sk, struct msghdr *message, bool sending)
{
	struct call_in_progress progress = { .socket = (__u64)sk };
	__u64 key = call_key(sending);

	if (sending)
		before_send(sk);
	io_from_iterator(&progress.io, &message->msg_iter);
	/* A send that is still there was never left: its return was missed. */
	if (sending && bpf_map_lookup_elem(&calls_in_progress, &key))
		account(LEDGER_EVENT_THREADS_FULL);
	if (bpf_map_update_elem(&calls_in_progress, &key, &progress, BPF_ANY))
		account(LEDGER_EVENT_THREADS_FULL);
}

/* A look without taking leaves nothing behind: it comes by tcp_cleanup_rbuf as well. */
static __always_inline void enter_receive(struct sock *sk, struct msghdr *message, int flags)
{
	__u64 key = call_key(false);

	if (flags & (MSG_PEEK | MSG_ERRQUEUE))
		bpf_map_delete_elem(&calls_in_progress, &key);
	else
		enter_call(sk, message, false);
}

static __always_inline void leave_call(struct sock *sk, long result, bool sending)
{
	__u64 key = call_key(sending);
	struct call_in_progress *progress = bpf_map_lookup_elem(&calls_in_progress, &key);
	struct call *call = this_call(sending);

	if (!progress || !call)
		return;
	if (progress->socket == (__u64)sk || !sk) {
		sk = (struct sock *)progress->socket;
		call->io = progress->io;
		if (sending)
			on_send(sk, call, result);
		else
			on_receive(sk, call, result);
	}
	bpf_map_delete_elem(&calls_in_progress, &key);
}

/*
 * A thread that stood in tcp_recvmsg before the hooks came was not seen to enter, and its leaving passes
 * no trampoline either. Its buffers are in the registers of its system call, and what it copies comes by
 * tcp_cleanup_rbuf. Kernel TLS comes by there too, without tcp_recvmsg.
 */
static __noinline struct call_in_progress *older_receive(struct sock *sk, __u64 key)
{
	struct call_in_progress progress = { .socket = (__u64)sk, .older = 1 };
	struct task_struct *task;
	struct pt_regs *regs = current_registers(&task);
	int number;

	if (!regs || BPF_CORE_READ(task, flags) & PF_KTHREAD || called_by_32_bit(task))
		return NULL;
	number = SYSCALL_NUMBER(regs);
	if (!receives(number) || peeks(regs, number) || has_upper_protocol((__u64)sk))
		return NULL;
	io_from_registers(&progress.io, regs, number);
	if (bpf_map_update_elem(&calls_in_progress, &key, &progress, BPF_ANY))
		account(LEDGER_EVENT_THREADS_FULL);
	return bpf_map_lookup_elem(&calls_in_progress, &key);
}

/* What a receive has copied since it began; it may say so several times. */
static __always_inline void take_copied(struct sock *sk, int copied, bool only_older)
{
	__u64 key = call_key(false);
	struct call_in_progress *progress = bpf_map_lookup_elem(&calls_in_progress, &key);
	struct call *call = this_call(false);
	int fresh;

	if (copied <= 0 || !call)
		return;
	if (!progress)
		progress = older_receive(sk, key);
	if (!progress || progress->socket != (__u64)sk || (only_older && !progress->older))
		return;
	if (!only_older && has_upper_protocol((__u64)sk)) /* the buffers are an earlier call's */
		return;
	fresh = copied - (int)progress->counted;
	if (fresh <= 0)
		return;
	call->io = progress->io;
	advance(&call->io, progress->counted);
	progress->counted = copied;
	on_receive(sk, call, fresh);
}

/* Bytes that come from pages, where only the return tells how many. */
static __always_inline void enter_pages(struct sock *sk)
{
	struct call_in_progress progress = { .socket = (__u64)sk };
	__u64 key = call_key(true);

	progress.io.unseen = LEDGER_EVENT_UNSEEN_KERNEL_BUFFER;
	if (bpf_map_update_elem(&calls_in_progress, &key, &progress, BPF_ANY))
		account(LEDGER_EVENT_THREADS_FULL);
}

/* The same where that has the socket too. */
static __always_inline void send_pages(struct sock *sk, long result)
{
	struct call *call = this_call(true);

	if (!call)
		return;
	call->io.kind = IO_UNREADABLE;
	call->io.unseen = LEDGER_EVENT_UNSEEN_KERNEL_BUFFER;
	on_send(sk, call, result);
}

#endif
