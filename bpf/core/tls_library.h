/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of libraries in C: from the entry, which has the arguments, to the return, which has the result. */
#ifndef OTEL_EBPF_TLS_LIBRARY_H
#define OTEL_EBPF_TLS_LIBRARY_H

#include "descriptor.h"
#include "tls_plain.h"

static __always_inline struct tls_call_key key_of(__u64 caller, __u32 place)
{
	return (struct tls_call_key){ .caller = caller,
				      .process = bpf_get_current_pid_tgid() >> 32,
				      .place = place };
}

/* Whether no plaintext of this process is wanted. What is left out of it is counted as ciphertext, where the
 * sockets are. */
static __always_inline bool refuse_plaintext(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process_control *process;

	if (refuse_excluded(tgid))
		return true;
	if (!tls_left_out)
		return false;
	process = bpf_map_lookup_elem(&processes, &tgid);
	return process && process->left_out & LEFT_OUT_TLS;
}

static __always_inline void enter_library(__u64 caller, const struct tls_call *call)
{
	struct tls_call_key key = key_of(caller, call->kind == TLS_ASKS ? CALL_ASKS : CALL_UPPER);
	struct tls_call *upper;

	if (refuse_plaintext() || !bpf_map_update_elem(&tls_calls, &key, call, BPF_NOEXIST))
		return;
	upper = bpf_map_lookup_elem(&tls_calls, &key); /* or one whose return was missed */
	if (upper && upper->session != call->session && call->kind != TLS_ASKS) {
		upper->lower = 1;
		key.place = CALL_LOWER;
	}
	bpf_map_update_elem(&tls_calls, &key, call, BPF_ANY);
}

/* The call that the caller is in returns: forgets it, and says whether it was known. */
static __always_inline bool take_call(__u64 caller, struct tls_call *taken)
{
	struct tls_call_key key = key_of(caller, CALL_UPPER);
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &key);

	if (call && call->lower) {
		call->lower = 0;
		key.place = CALL_LOWER;
		call = bpf_map_lookup_elem(&tls_calls, &key);
	}
	if (!call)
		return false;
	*taken = *call;
	bpf_map_delete_elem(&tls_calls, &key);
	return true;
}

static __always_inline void enter(__u64 session, __u64 buffer, __u64 result_at, __u8 kind)
{
	struct tls_call call = { .session = session,
				 .buffer = buffer,
				 .result_at = result_at,
				 .kind = kind,
				 .entered = bpf_ktime_get_boot_ns() };

	enter_library(bpf_get_current_pid_tgid(), &call);
}

/* NSPR's PRFileDesc (prio.h): pointers to its methods, whose first word is the kind, to what is its own, and
 * to the layer below. Files, pipes and sockets without TLS pass through the same functions; of layers, TLS
 * is one. */
#define PR_DESC_LAYERED 4
#define PR_LOWER 16

static __always_inline void enter_layer(__u64 descriptor, __u64 buffer, __u8 kind)
{
	struct tls_call call = { .session = descriptor,
				 .buffer = buffer,
				 .kind = kind,
				 .nested_only = 1,
				 .entered = bpf_ktime_get_boot_ns() };
	__u64 methods = 0, lower = 0;
	__s32 type = 0;

	bpf_probe_read_user(&methods, sizeof(methods), (void *)descriptor);
	bpf_probe_read_user(&type, sizeof(type), (void *)methods);
	bpf_probe_read_user(&lower, sizeof(lower), (void *)(descriptor + PR_LOWER));
	if (type == PR_DESC_LAYERED && lower)
		enter_library(bpf_get_current_pid_tgid(), &call);
}

/* The program names the socket: SSL_set_fd and its like. What it had before is no longer the session's, and
 * that was no mistake: an object may be used for one connection after another. */
static __always_inline void expect_socket(__u64 pointer, __u32 descriptor)
{
	struct tls_session *session = find_session(pointer, true);

	if (!session)
		return;
	session->expected = (__u64)socket_of((struct task_struct *)bpf_get_current_task(), descriptor);
	if (is_socket(session->socket) && session->socket != session->expected)
		let_go(session, pointer, TLS_OUTCOMES);
}

int tls_plaintext(struct pt_regs *ctx);

/* Never changed. Plaintext has one program and not one for each hook, as the verifier takes half a second for it. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, int(struct pt_regs *));
} plaintext SEC(".maps")
= { .values = { [0] = (void *)&tls_plaintext } };

/* `length` bytes of plaintext have passed in the call, or none and its socket has ended: does not return. */
static __always_inline void pass(struct pt_regs *ctx, const struct tls_call *call, long length)
{
	struct call *scratch;
	__u32 slot;

	if (!take_slot(&slot))
		return;
	scratch = this_call(slot);
	if (scratch) {
		scratch->tls = *call;
		scratch->tls.length = length;
		bpf_tail_call(ctx, &plaintext, 0);
	}
	give_slot(slot);
}

/* The library has found no data in what was received, which was not for the application, or not all. */
static __always_inline void forget_received(void)
{
	struct tls_thread *thread = this_thread(false);
	struct connection *conn;

	if (!thread || !thread->received_from)
		return;
	conn = find_connection(thread->received_from);
	if (!conn || !receiving_side(conn)->left)
		thread->received_from = 0;
}

/* The call has passed no plaintext. Says whether its socket's end waits for that. */
static __always_inline bool passed_nothing(const struct tls_call *call)
{
	struct connection *conn = call->socket ? find_connection(call->socket) : NULL;

	if (!conn)
		return false;
	conn->tls.within = 0;
	return conn->tls.ended;
}

/* A call has returned `result`, or 1 and the number elsewhere. */
static __always_inline void leave(struct pt_regs *ctx)
{
	int result = RESULT(ctx);
	struct tls_call call;
	long length = result;

	if (!take_call(bpf_get_current_pid_tgid(), &call))
		return;
	if (result <= 0 && call.kind == TLS_READS)
		forget_received();
	if (call.result_at) {
		length = 0;
		if (result == 1)
			bpf_probe_read_user(&length, sizeof(length), (void *)call.result_at);
	}
	if (call.kind == TLS_BINDS)
		return;
	if (length < 0)
		length = 0;
	if (length || passed_nothing(&call))
		pass(ctx, &call, length);
}

/* The program has asked which protocol ALPN chose: in TLS 1.3 nobody else can know. */
static __always_inline void leave_question(void)
{
	struct tls_call_key key = key_of(bpf_get_current_pid_tgid(), CALL_ASKS);
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &key);
	struct tls_session *session;
	struct connection *conn;
	__u64 at = 0, name = 0, pointer;
	__u32 length = 0;

	if (!call)
		return;
	bpf_probe_read_user(&at, sizeof(at), (void *)call->buffer);
	bpf_probe_read_user(&length, sizeof(length), (void *)call->result_at);
	pointer = call->session;
	bpf_map_delete_elem(&tls_calls, &key);
	session = length ? find_session(pointer, true) : NULL;
	if (!session)
		return;
	bpf_probe_read_user(&name, sizeof(name), (void *)at);
	session->protocol = TLS_PROTOCOL_OTHER;
	if (length == 2 && (name & LOW_BYTES(2)) == WORD('h', '2', 0, 0, 0, 0, 0, 0))
		session->protocol = TLS_PROTOCOL_HTTP2;
	else if (length == 8 && name == WORD('h', 't', 't', 'p', '/', '1', '.', '1'))
		session->protocol = TLS_PROTOCOL_HTTP1;
	conn = session->socket ? find_connection(session->socket) : NULL;
	if (conn && conn->tls.session == pointer)
		conn->record.header.tls.protocol = session->protocol;
}

/* The library frees the session. */
static __always_inline void forget_session(__u64 pointer)
{
	struct tls_session_key key = session_key(pointer);
	struct tls_session *session = bpf_map_lookup_elem(&tls_sessions, &key);
	struct connection *conn;

	if (!session)
		return;
	conn = session->socket ? find_connection(session->socket) : NULL;
	if (conn && conn->tls.session == pointer && wait_lock(conn)) {
		conn->tls.session = 0;
		if (is_socket(session->socket))
			unlock(conn);
		else
			end_connection(conn, END_FIN, 0);
	}
	bpf_map_delete_elem(&tls_sessions, &key);
}

#endif
