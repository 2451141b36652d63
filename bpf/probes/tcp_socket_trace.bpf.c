// SPDX-License-Identifier: Apache-2.0
/*
 * Rung socket_trace: the tracepoints sock_send_length and sock_recv_length (6.3, 6e6eda44b939).
 * They fire in every socket call with the result in hand, and only there; the buffers are in the
 * system call's registers, which io_uring's workers do not have. Where the kernel has tcp_sendmsg_locked
 * (6.16, 0f08335ade71) a request is announced before its bytes leave: what the other end does about them
 * may be over before the call that sent them returns.
 */
#define TRUSTED_REGISTERS /* by a cast */
#define TRUSTED_SOCKETS /* the tracepoints are newer than what it takes */
#include "../core/dns_programs.h"
#include "../core/event.h"
#include "../core/syscall_io.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

#define PF_IO_WORKER 0x00000010

/* Where the registers of its system call stand on a task's stack: the same for all tasks, so that the
 * helper which tells is called once. */
static __u64 registers_at;

/* The verifier of 6.12 takes `stack` for a typed pointer, with which it allows no such sums: through memory
 * it becomes a number. */
static __always_inline const struct pt_regs *system_call(struct task_struct *task, __u64 *scratch)
{
	__u64 stack = THROUGH_MEMORY(*scratch, (__u64)task->stack);

	if (!registers_at)
		registers_at = THROUGH_MEMORY(*scratch, (__u64)bpf_task_pt_regs(task)) - stack;
	return bpf_rdonly_cast((void *)(stack + registers_at), bpf_core_type_id_kernel(struct pt_regs));
}

static __always_inline void current_io(struct io *io, struct task_struct *task)
{
	const struct pt_regs *regs = system_call(task, &io->base);

	if (task->flags & (PF_IO_WORKER | PF_KTHREAD))
		unreadable(io, LEDGER_EVENT_UNSEEN_IO_URING);
	else if (called_by_32_bit(task))
		unreadable(io, LEDGER_EVENT_UNSEEN_COMPAT);
	else
		io_from_registers(io, regs, SYSCALL_NUMBER(regs));
}

/* Where the bytes stand is only asked once it is known that they are wanted. */
static __always_inline void on_moved(struct sock *sk, __u32 length, bool sending)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct connection *conn = enter_connection(sk, task->tgid, length, sending);
	struct call *call = this_call(sending);

	if (!conn)
		return;
	if (call) { /* always: for the verifier */
		call->thread = task->pid;
		current_io(&call->io, task);
		count_bytes(conn, sk, call, length, sending);
		if (conn->tls.phase != TLS_NONE) /* from before, or from this call on */
			on_ciphertext(conn, length, sending);
	}
	release(conn);
}

/* udp_socket_trace.bpf.c's, by enum socket_call. Filled by user space where UDP is counted. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SOCKET_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} udp_programs SEC(".maps");

/* Returns where nobody takes it, or it may be TCP's payload; then false. What is said to port 53 is no HTTP. */
static __always_inline bool hands_over(void *ctx, const struct sock *sk, enum socket_call call)
{
	bool udp = sk->sk_protocol == IPPROTO_UDP;

	if (udp)
		bpf_tail_call(ctx, &udp_programs, call); /* which goes on with the other */
	if (udp || sk->__sk_common.skc_dport == bpf_htons(DNS_PORT)) {
		bpf_tail_call(ctx, &dns_programs, call);
		return true;
	}
	return false;
}

SEC("?tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int result, int flags)
{
	if (hands_over(ctx, sk, SOCKET_SEND))
		return 0;
	if (result > 0)
		on_moved(sk, result, true);
	return 0;
}

SEC("?tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int result, int flags)
{
	if (hands_over(ctx, sk, SOCKET_RECEIVE))
		return 0;
	if (result < 0 || flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	if (result)
		on_moved(sk, result, false);
	else
		on_end_of_stream(sk);
	return 0;
}

/* Called for each segment of a call: those that are behind the first find it in the queue. */
SEC("?tp_btf/tcp_sendmsg_locked")
int BPF_PROG(sendmsg_locked, struct sock *sk, struct msghdr *message, void *queued)
{
	__u64 behind = (__u64)queued;

	OPAQUE(behind); /* verifiers may take it for a pointer that is never NULL */
	if (!behind)
		before_send(sk);
	return 0;
}
