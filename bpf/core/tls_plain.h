/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plaintext, as a TLS library takes it from the application or hands it over: from here on it is what
 * on_send and on_receive are for a socket without encryption.
 *
 * Budget: 1 us a call beside the probe's own trap.
 */
#ifndef OTEL_EBPF_TLS_PLAIN_H
#define OTEL_EBPF_TLS_PLAIN_H

#include "descriptor.h"
#include "event.h"

/* Ciphertext that a library had taken in before the hooks came, at most. */
#define READ_AHEAD_MAX (1 << 16)

static __always_inline struct tls_call_key key_of(__u64 caller, bool asks)
{
	return (struct tls_call_key){ .caller = caller,
				      .process = bpf_get_current_pid_tgid() >> 32,
				      .asks = asks };
}

static __always_inline void enter_library(__u64 caller, const struct tls_call *call)
{
	struct tls_call_key key = key_of(caller, call->kind == TLS_ASKS);

	if (!refuse_excluded(bpf_get_current_pid_tgid() >> 32))
		bpf_map_update_elem(&tls_calls, &key, call, BPF_ANY);
}

static __always_inline void enter(__u64 session, __u64 buffer, __u64 length, __u64 result_at, __u8 kind)
{
	struct tls_call call = { .session = session,
				 .buffer = buffer,
				 .length = length,
				 .result_at = result_at,
				 .kind = kind,
				 .entered = bpf_ktime_get_boot_ns() };

	enter_library(bpf_get_current_pid_tgid(), &call);
}

/* Go keeps the connection that a tls.Conn wraps: (*tls.Conn).conn, an interface, whose value is a
 * *net.TCPConn, whose first word is a *netFD, whose pfd.Sysfd stands behind a lock of two words. Anything
 * else that is wrapped leads to no socket, or to none that is encrypted. */
#define GO_INTERFACE_VALUE 8
#define GO_DESCRIPTOR 16

static __noinline struct sock *go_socket(__u64 tls_conn)
{
	__u64 connection = 0, descriptor_of = 0;
	__s32 descriptor = -1;

	bpf_probe_read_user(&connection, sizeof(connection), (void *)(tls_conn + GO_INTERFACE_VALUE));
	bpf_probe_read_user(&descriptor_of, sizeof(descriptor_of), (void *)connection);
	bpf_probe_read_user(&descriptor, sizeof(descriptor), (void *)(descriptor_of + GO_DESCRIPTOR));
	return descriptor < 0 ? NULL : socket_of((struct task_struct *)bpf_get_current_task(), descriptor);
}

static __always_inline void enter_go(__u64 goroutine, __u64 tls_conn, __u64 buffer)
{
	struct tls_call call = {
		.session = tls_conn, .buffer = buffer, .kind = TLS_READS, .entered = bpf_ktime_get_boot_ns()
	};

	enter_library(goroutine, &call);
}

/* The program names the socket: SSL_set_fd and its like. */
static __always_inline void expect_socket(__u64 pointer, __u32 descriptor)
{
	struct tls_session *session = find_session(pointer, true);

	if (session)
		session->expected =
			(__u64)socket_of((struct task_struct *)bpf_get_current_task(), descriptor);
}

/* Whether a session that nobody has bound may be this socket's. */
static __always_inline bool is_free(const struct connection *conn, __u64 session)
{
	return conn->tls.phase != TLS_NONE && (!conn->tls.session || conn->tls.session == session);
}

/* The socket from which this thread last received, if what was read is one of the records. */
static __always_inline __u64 received_from(struct connection **conn, __u64 pointer, __u32 length)
{
	struct tls_thread *thread = this_thread(false);
	bool found = false;

	if (!thread || !thread->received_from || is_crossed(thread, bpf_ktime_get_boot_ns()))
		return 0;
	*conn = find_connection(thread->received_from);
	if (!*conn || (*conn)->tls.session || (*conn)->tls.phase == TLS_NONE)
		return 0;
	for (int i = 0; i < RECORDS_KEPT; i++)
		if (thread->received[i] &&
		    fits(thread->received[i], length, (*conn)->record.header.tls.version))
			found = true;
	pointer = found ? thread->received_from : 0;
	if (found)
		thread->received_from = 0;
	return pointer;
}

/* Binds the session if there is a socket that is proved to be its own. */
static __always_inline void look_for_socket(struct tls_session *session, const struct tls_call *call,
					    __u32 length)
{
	struct connection *conn = NULL;
	__u32 method = call->method;

	if (call->socket) {
		if (call->socket == session->socket)
			return;
		conn = find_connection(call->socket);
		if (conn && session->socket && is_socket(session->socket))
			count_binding(conn->tls.method, TLS_MISMATCH);
	} else if (!session->socket || !is_socket(session->socket)) {
		method = TLS_METHOD_API;
		conn = session->expected ? find_connection(session->expected) : NULL;
		if (!conn || !is_free(conn, call->session)) {
			conn = NULL;
			method = TLS_METHOD_LENGTH;
			if (call->kind == TLS_READS && !received_from(&conn, call->session, length))
				conn = NULL;
		}
	}
	if (!conn || !wait_lock(conn))
		return;
	bind(session, call->session, conn, method);
	unlock(conn);
}

static __always_inline const struct tls_side *receiving_side(const struct connection *conn)
{
	return conn->record.header.role == ROLE_SERVER ? &conn->tls.client : &conn->tls.server;
}

/* More plaintext than ciphertext: it was another session's. */
static __always_inline bool outgrown(const struct connection *conn, const struct tls_call *call, __u32 length)
{
	const struct tls_side *side = receiving_side(conn);
	__u64 ahead = conn->record.header.flags & CAPTURE_OLD ? READ_AHEAD_MAX : 0;

	return call->kind == TLS_READS && is_socket(conn->record.header.socket) &&
	       conn->received + length > side->bytes + ahead;
}

/* Whoever reads what begins like an answer has asked. Elsewhere, who speaks first asks. */
static __always_inline __u8 role_by_words(const struct tls_call *call)
{
	bool writes = call->kind == TLS_WRITES;
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)call->buffer);
	if ((word & LOW_BYTES(7)) == HTTP_1)
		return writes ? ROLE_SERVER : ROLE_CLIENT;
	return writes ? ROLE_CLIENT : ROLE_SERVER;
}

/* The connection of a session without a socket, locked. */
static __noinline struct connection *open_sessionless(struct tls_session *session,
						      const struct tls_call *call)
{
	__u64 key = sessionless_key(call->session);
	struct connection *conn = make_connection(key, BPF_ANY);
	struct record_header *header;

	if (!conn)
		return NULL;
	header = &conn->record.header;
	header->connection = mix(key ^ bpf_ktime_get_boot_ns());
	header->role = role_by_words(call);
	header->flags = CAPTURE_TLS | CAPTURE_ROLE_GUESSED | CAPTURE_OLD;
	conn->tls.phase = TLS_OPEN;
	conn->tls.session = call->session;
	conn->tls.client.lost = conn->tls.server.lost = 1;
	session->socket = key;
	exchange_awaiting(true);
	return conn;
}

/* The connection that a session's plaintext belongs to; NULL: it is yet to be made. */
static __noinline struct connection *bound(struct tls_session *session, const struct tls_call *call,
					   __u32 length)
{
	struct connection *conn;

	look_for_socket(session, call, length);
	if (!session->socket)
		return NULL;
	conn = find_connection(session->socket);
	if (conn && conn->tls.session == call->session && !outgrown(conn, call, length))
		return conn;
	session->socket = 0; /* closed since, or somebody else's */
	if (conn && conn->tls.session == call->session) {
		count_binding(conn->tls.method, TLS_MISMATCH);
		conn->tls.session = 0;
	}
	return NULL;
}

/* The same, locked and asked about as `enter_connection` does; NULL where the bytes are none of ours. */
static __always_inline struct connection *enter_plain(struct tls_session *session,
						      const struct tls_call *call, __u32 length)
{
	struct connection *conn = bound(session, call, length);
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (!conn) {
		conn = open_sessionless(session, call);
		if (!conn)
			return NULL;
		unlock(conn);
	}
	if (refuse_mode(conn))
		return NULL;
	if (conn->record.header.process == tgid && conn->record.header.ruleset == current_ruleset())
		return wait_lock(conn) ? conn : NULL;
	return admit(conn, NULL, length, call->kind == TLS_WRITES);
}

/* Global for the same reasons as `scan_step`. */
__noinline int count_plain(__u64 key, __u32 length, int sending, int slot)
{
	struct connection *conn = find_connection(key);
	struct call *call = this_call(slot);
	__u32 exchanges;

	if (!conn || !call)
		return 0;
	exchanges = conn->exchanges;
	conn->last = call->now;
	if (conn->tls.phase == TLS_HANDSHAKE) /* data that the server sends half a round trip early */
		report_handshake(conn, END_NONE, 0);
	count_meant(conn, NULL, call, length, sending, slot, call->now);
	if (conn->exchanges != exchanges && conn->tls.reported) {
		conn->record.header.flags |= CAPTURE_FIRST;
		conn->tls.reported = 0;
	}
	if (!is_socket(key) && conn->phase == PHASE_IDLE && conn->exchanges && !conn->tls.nameless) {
		count_binding(TLS_METHOD_NONE, TLS_UNKNOWN);
		conn->tls.nameless = 1;
	}
	return 0;
}

/*
 * When the bytes passed: a request that is asked from the call's entry on; all else when the socket moved
 * it, within the call or, of libraries that work in memory, before it.
 */
static __always_inline __u64 time_of(const struct connection *conn, const struct tls_call *call)
{
	if (call->kind == TLS_WRITES && conn->record.header.role == ROLE_CLIENT)
		return call->entered;
	if (call->moved_at)
		return call->moved_at;
	if (call->kind == TLS_READS && conn->tls.received_at)
		return conn->tls.received_at;
	return bpf_ktime_get_boot_ns();
}

/* What a thread wrote that has no socket yet: the next it sends may be it. */
static __noinline void await_send(const struct tls_call *call, __u32 length)
{
	struct tls_thread *thread = this_thread(true);

	if (!thread)
		return;
	if (thread->writer && thread->writer != call->session)
		thread->crossed_at = bpf_ktime_get_boot_ns();
	thread->writer = call->session;
	thread->written = length < 16384 ? length : 16384;
}

/* `length` bytes of plaintext have passed, as the slot's `tls` says. Global for the same reasons as
 * `scan_step`. */
__noinline int on_plaintext(__u32 length, __u32 slot)
{
	struct call *scratch = this_call(slot);
	struct tls_session *session;
	const struct tls_call *call;
	struct connection *conn;

	if (!scratch)
		return 0;
	call = &scratch->tls;
	session = find_session(call->session, true);
	if (!session)
		return 0;
	conn = enter_plain(session, call, length);
	if (!conn)
		return 0;
	scratch->now = time_of(conn, call);
	scratch->thread = bpf_get_current_pid_tgid();
	scratch->io.base = call->buffer;
	scratch->io.segments = scratch->io.skip = 0;
	scratch->io.kind = call->buffer ? IO_FLAT : IO_UNREADABLE;
	count_plain(conn->record.header.socket, length, call->kind == TLS_WRITES, slot);
	if (call->kind == TLS_WRITES && !is_socket(session->socket))
		await_send(call, length);
	release(conn);
	return 0;
}

/* The call that is in progress has passed `length` bytes. It waits in a slot and not on the stack, of which
 * old verifiers allow little below. */
static __always_inline void pass(const struct tls_call *call, __u64 socket, long length)
{
	struct call *scratch;
	__u32 slot;

	if (length <= 0 || !take_slot(&slot))
		return;
	scratch = this_call(slot);
	if (scratch) {
		scratch->tls = *call;
		if (socket) {
			scratch->tls.socket = socket;
			scratch->tls.method = TLS_METHOD_API;
		}
		on_plaintext(length, slot);
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

/* A call has returned `result`, or 1 and the number elsewhere. */
static __always_inline void leave(int result)
{
	struct tls_call_key key = key_of(bpf_get_current_pid_tgid(), false);
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &key);
	__u64 length = result;

	if (!call)
		return;
	if (result <= 0 && call->kind == TLS_READS)
		forget_received();
	if (call->result_at) {
		length = 0;
		if (result == 1)
			bpf_probe_read_user(&length, sizeof(length), (void *)call->result_at);
	}
	if (call->kind != TLS_BINDS)
		pass(call, 0, length);
	bpf_map_delete_elem(&tls_calls, &key);
}

static __always_inline void leave_go(__u64 goroutine, long result)
{
	struct tls_call_key key = key_of(goroutine, false);
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &key);

	if (!call)
		return;
	pass(call, (__u64)go_socket(call->session), result);
	bpf_map_delete_elem(&tls_calls, &key);
}

/* A server's next request may be read, by another goroutine, before the write of its response returns:
 * so what is written counts from the start. */
static __always_inline void write_go(__u64 tls_conn, __u64 buffer, __s64 length)
{
	struct call *scratch;
	__u32 slot;

	if (refuse_excluded(bpf_get_current_pid_tgid() >> 32) || length <= 0 || !take_slot(&slot))
		return;
	scratch = this_call(slot);
	if (scratch) {
		__builtin_memset(&scratch->tls, 0, sizeof(scratch->tls));
		scratch->tls.session = tls_conn;
		scratch->tls.buffer = buffer;
		scratch->tls.kind = TLS_WRITES;
		scratch->tls.entered = bpf_ktime_get_boot_ns();
		scratch->tls.socket = (__u64)go_socket(tls_conn);
		scratch->tls.method = TLS_METHOD_API;
		on_plaintext(length, slot);
	}
	give_slot(slot);
}

/* The program has asked which protocol ALPN chose: in TLS 1.3 nobody else can know. */
static __always_inline void leave_question(void)
{
	struct tls_call_key key = key_of(bpf_get_current_pid_tgid(), true);
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
	struct tls_session_key key = { .session = pointer, .process = bpf_get_current_pid_tgid() >> 32 };
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
