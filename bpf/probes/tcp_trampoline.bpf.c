// SPDX-License-Identifier: Apache-2.0
/*
 * Rung trampoline: fentry and fexit on TCP's own functions. Whatever way the bytes came, system
 * call, io_uring, 32-bit, the kernel itself, it ends here.
 *
 * tcp_recvmsg lost its argument `nonblock` in 5.19 (ec095263a965): there are two pairs of programs,
 * of which the kernel takes the one that fits.
 */
#include "../core/iterator_io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?fentry/tcp_sendmsg")
int BPF_PROG(sendmsg_entry, struct sock *sk, struct msghdr *message)
{
	enter_call(sk, message, true);
	return 0;
}

SEC("?fexit/tcp_sendmsg")
int BPF_PROG(sendmsg_exit, struct sock *sk, struct msghdr *message, unsigned long size, int result)
{
	leave_call(sk, result, true);
	return 0;
}

/* Loads where tcp_recvmsg has six arguments, and is never left attached. */
SEC("?fexit/tcp_recvmsg")
int BPF_PROG(recvmsg_has_6, struct sock *sk, struct msghdr *message, unsigned long size, int nonblock,
	     int flags, int *address_length, int result)
{
	OPAQUE(result);
	return 0;
}

SEC("?fentry/tcp_recvmsg")
int BPF_PROG(recvmsg_entry_6, struct sock *sk, struct msghdr *message, unsigned long size, int nonblock,
	     int flags, int *address_length)
{
	enter_receive(sk, message, flags);
	return 0;
}

SEC("?fexit/tcp_recvmsg")
int BPF_PROG(recvmsg_exit_6, struct sock *sk, struct msghdr *message, unsigned long size, int nonblock,
	     int flags, int *address_length, int result)
{
	leave_call(sk, result, false);
	return 0;
}

SEC("?fentry/tcp_recvmsg")
int BPF_PROG(recvmsg_entry_5, struct sock *sk, struct msghdr *message, unsigned long size, int flags)
{
	enter_receive(sk, message, flags);
	return 0;
}

SEC("?fexit/tcp_recvmsg")
int BPF_PROG(recvmsg_exit_5, struct sock *sk, struct msghdr *message, unsigned long size, int flags,
	     int *address_length, int result)
{
	leave_call(sk, result, false);
	return 0;
}

/* Receives that were under way when the hooks came. */
SEC("?fentry/tcp_cleanup_rbuf")
int BPF_PROG(cleanup_rbuf, struct sock *sk, int copied)
{
	take_copied(sk, copied, true);
	return 0;
}

/* sendfile before 6.5 (dc97391e6610). */
SEC("?fexit/tcp_sendpage")
int BPF_PROG(sendpage_exit, struct sock *sk, void *page, int offset, unsigned long size, int flags,
	     int result)
{
	send_pages(sk, result);
	return 0;
}

/* Loads where that function exists, and is never left attached. */
SEC("?fexit/tcp_sendpage")
int BPF_PROG(sendpage_is_there)
{
	return 0;
}
