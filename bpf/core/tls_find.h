/* SPDX-License-Identifier: Apache-2.0 */
/* From a session's plaintext to the connection that it belongs to. */
#ifndef OTEL_EBPF_TLS_FIND_H
#define OTEL_EBPF_TLS_FIND_H

#include "event.h"

/* Ciphertext that a library had taken in before the hooks came, at most. */
#define READ_AHEAD_MAX (1 << 16)

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

/* The session has its socket no longer. `outcome`: TLS_MISMATCH, or TLS_OUTCOMES to count nothing. */
static __noinline int let_go(struct tls_session *session, __u64 pointer, __u32 outcome)
{
	struct connection *conn = find_connection(session->socket);

	session->socket = 0;
	if (!conn || conn->tls.session != pointer) /* closed since, or somebody else's */
		return 0;
	conn->tls.session = 0;
	if (outcome < TLS_OUTCOMES)
		count_binding(conn->tls.method, outcome);
	return 0;
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
			let_go(session, call->session, TLS_MISMATCH);
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

/* The kernel makes the records itself: no hook sees ciphertext. */
static __always_inline bool has_kernel_tls(const struct connection *conn)
{
	return conn->record.header.transport == TRANSPORT_TCP &&
	       has_upper_protocol(conn->record.header.socket);
}

/* More plaintext than ciphertext: it was another session's. */
static __always_inline bool outgrown(const struct connection *conn, const struct tls_call *call, __u32 length)
{
	const struct tls_side *side = receiving_side(conn);
	__u64 ahead = conn->record.header.flags & CAPTURE_OLD ? READ_AHEAD_MAX : 0;

	return call->kind == TLS_READS && is_socket(conn->record.header.socket) &&
	       conn->received + length > side->bytes + ahead && !has_kernel_tls(conn);
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
	let_go(session, call->session, TLS_MISMATCH);
	return NULL;
}

/* The same, locked and asked about as `enter_connection` does; NULL where the bytes are none of ours. */
static __always_inline struct connection *enter_plain(struct tls_session *session,
						      const struct tls_call *call, __u32 length)
{
	struct connection *conn = bound(session, call, length);
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (!conn) {
		conn = call->nested_only ? NULL : open_sessionless(session, call);
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

#endif
