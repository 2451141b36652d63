/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which socket a TLS session's bytes pass by. Three ways to know, each confirmed or refused:
 *
 *  api     the program said so: SSL_set_fd, or the connection that a Go tls.Conn wraps
 *  nested  the library made a call on an encrypted socket within the call that passes the plaintext
 *  length  the library works in memory: the lengths of the records that this thread received last, or
 *          sends next, are those of the plaintext and what the cipher adds
 *
 * The last socket of the thread alone is none of these. A session without a socket has a connection of
 * its own, that names no peer; what it holds goes over to the socket's once that is known.
 */
#ifndef OTEL_EBPF_TLS_SESSION_H
#define OTEL_EBPF_TLS_SESSION_H

#include "tls_wire.h"

enum tls_outcome {
	TLS_VERIFIED = 0,
	TLS_MISMATCH = 1, /* what was bound was not: the bytes do not fit */
	TLS_UNKNOWN = 2, /* an exchange was sent that names no peer */
	TLS_OUTCOMES = 3,
};

/* Sessions by method and outcome: ebpf.tls.binding. Incremented here, read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TLS_METHODS *TLS_OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} tls_bindings SEC(".maps");

struct tls_session_key {
	__u64 session;
	__u32 process;
	__u32 life; /* which of those that have had this number, and which program of its: see `session_key` */
};

struct tls_session {
	__u64 socket; /* key of the connection that has its plaintext; 0: none yet */
	__u64 expected; /* socket that the program named */
	__u64 protocol; /* enum tls_protocol, where the program asked for it */
};

/* Inserted at a session's first plaintext or its SSL_set_fd; deleted when the library frees it. LRU: of
 * processes that end without, which nobody asks for again, and of libraries of which no such function is
 * known. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct tls_session_key);
	__type(value, struct tls_session);
} tls_sessions SEC(".maps");

static __always_inline void count_binding(__u32 method, __u32 outcome)
{
	__u32 key = method * TLS_OUTCOMES + outcome;
	__u64 *counter = bpf_map_lookup_elem(&tls_bindings, &key);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

/* A pointer means nothing behind its process's exit or exec, both of which may bring it about once more: the
 * allocator gives the same addresses for the same calls. */
static __always_inline struct tls_session_key session_key(__u64 session)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 started = BPF_CORE_READ(task, group_leader, start_boottime);

	return (struct tls_session_key){ .session = session,
					 .process = bpf_get_current_pid_tgid() >> 32,
					 .life = (__u32)(started >> 10) + BPF_CORE_READ(task, self_exec_id) };
}

static __noinline struct tls_session *find_session(__u64 session, bool make)
{
	struct tls_session_key key = session_key(session);
	struct tls_session *found = bpf_map_lookup_elem(&tls_sessions, &key), fresh = {};

	if (found || !make)
		return found;
	bpf_map_update_elem(&tls_sessions, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&tls_sessions, &key);
}

/* A key that is no kernel address, for the connection of a session without a socket. */
static __always_inline __u64 sessionless_key(__u64 session)
{
	return (bpf_get_current_pid_tgid() >> 32) << 41 | (session >> 4 & ((1ULL << 41) - 1));
}

static __always_inline bool is_socket(__u64 key)
{
	return key >> 63;
}

/* What ciphers add to a record's plaintext (RFC 8446, 5.2; RFC 5288; RFC 7905; RFC 5246, 6.2.3.2). */
static __always_inline bool fits(__u32 record, __u32 plaintext, __u16 version)
{
	__u32 added = record - plaintext;

	if (version == TLS_1_3)
		return added == 17;
	if (added == 24 || added == 16)
		return true;
	if (!version) /* the handshake was not seen */
		return added == 17;
	if (record & 15 && (record - 20) & 15) /* RFC 7366: SHA-1's 20 bytes are behind what is encrypted */
		return false;
	return added >= 16 + 16 + 1 && added <= 16 + 48 + 16;
}

/* What passed by the session's own connection goes on by the socket's, both locked. */
static __always_inline void merge(struct connection *to, struct connection *from)
{
	struct record_header *header = &to->record.header;
	__u64 captured = from->record.request_captured + from->record.response_captured;
	__u8 flags = from->record.header.flags & (CAPTURE_TRUNCATED | CAPTURE_UNSEEN | CAPTURE_HTTP1);

	OPAQUE(captured);
	if (captured > window_start)
		captured = 0;
	to->phase = from->phase;
	to->mode = from->mode;
	to->sent = from->sent;
	to->received = from->received;
	to->exchanges = from->exchanges;
	to->request_due = from->request_due;
	to->discard_chunks = from->discard_chunks;
	__builtin_memcpy(&to->request, &from->request, sizeof(to->request));
	__builtin_memcpy(&to->response, &from->response, sizeof(to->response));
	header->offset = from->record.header.offset;
	header->time = from->record.header.time;
	header->thread = from->record.header.thread;
	header->end = END_NONE;
	header->flags |= flags;
	__builtin_memcpy(&to->record.request_end, &from->record.request_end,
			 sizeof(to->record) - sizeof(to->record.header));
	if (from->record.header.context.source == CONTEXT_HEADER)
		header->context = from->record.header.context;
	else
		settle_context(to);
	bpf_probe_read_kernel(to->data, captured, from->data);
}

/* Global for the same reasons as `scan_step`. `sk`: the socket's connection, locked. */
__noinline int take_over(__u64 sk, __u64 own)
{
	struct connection *to = find_connection(sk), *from = find_connection(own);
	__u8 role;

	if (!to || !from || !try_lock(from))
		return 0;
	role = to->record.header.role;
	if (from->phase != PHASE_IDLE && from->record.header.role != role)
		account(LEDGER_EXCHANGE_MISMATCH); /* its direction was read the wrong way round */
	else
		merge(to, from);
	bpf_map_delete_elem(&connections, &own);
	return 0;
}

/* The socket's connection is locked, or nobody else's concern yet. */
static __always_inline void bind(struct tls_session *session, __u64 pointer, struct connection *conn,
				 __u32 method)
{
	__u64 sk = conn->record.header.socket;

	if (session->expected == sk)
		method = TLS_METHOD_API;
	if (conn->tls.phase == TLS_NONE)
		start_handshake(conn);
	if (session->socket && !is_socket(session->socket))
		take_over(sk, session->socket);
	conn->tls.session = pointer;
	conn->tls.method = method;
	if (session->protocol)
		conn->record.header.tls.protocol = session->protocol;
	if (conn->tls.phase == TLS_OPEN)
		conn->tls.client.lost = conn->tls.server.lost = 1; /* nobody asks any more */
	session->socket = sk;
	count_binding(method, TLS_VERIFIED);
}

/* Records leave by this socket: they may be what a session of this thread has just written. Global for the
 * same reasons as `scan_step`. */
__noinline int match_send(__u64 sk)
{
	struct connection *conn = find_connection(sk);
	struct tls_thread *thread = this_thread(false);
	struct tls_session *session;

	if (!conn || !thread || !thread->writer || !thread->sent)
		return 0;
	session = find_session(thread->writer, false);
	if (session && !is_crossed(thread, conn->last) &&
	    fits(thread->sent, thread->written, conn->record.header.tls.version))
		bind(session, thread->writer, conn, TLS_METHOD_LENGTH);
	thread->writer = 0;
	return 0;
}

enum ciphertext {
	CIPHERTEXT_FOLLOWED = 1 << 0, /* its records are to be followed */
	CIPHERTEXT_WRITTEN = 1 << 1, /* a library's call that writes plaintext sends it */
};

/* Counts a call's ciphertext, and says what it is: enum ciphertext. Global for the same reasons as
 * `scan_step`. */
__noinline int count_ciphertext(__u64 sk, __u32 length, int request, int sending)
{
	struct connection *conn = find_connection(sk);
	struct call *call = this_call(sending);
	struct tls_call *within;
	struct tls_side *side;
	int found = 0;

	if (!conn || !call)
		return 0;
	side = side_of(&conn->tls, request);
	if (!conn->tls.client.bytes && !conn->tls.server.bytes)
		conn->sent = conn->received = 0; /* this call has made it plain; its bytes are captured */
	else if (conn->tls.phase == TLS_HANDSHAKE)
		capture_hello(conn, call, length, request);
	side->bytes += length;
	if (!sending)
		conn->tls.received_at = conn->last;
	within = note_socket_call(sk, conn->last);
	if (within && within->kind == (sending ? TLS_WRITES : TLS_READS)) {
		conn->tls.within = 1;
		found = sending ? CIPHERTEXT_WRITTEN : 0;
	}
	if (!within && !conn->tls.session && conn->tls.phase == TLS_OPEN)
		account(LEDGER_EVENT_CIPHERTEXT);
	if (side->lost || (conn->tls.phase != TLS_HANDSHAKE && (within || conn->tls.session)))
		return found;
	conn->rest = call->io;
	conn->rest_length = length;
	return found | CIPHERTEXT_FOLLOWED;
}

/* Global for the same reasons as `scan_step`. */
__noinline int announce_written(__u64 sk)
{
	struct connection *conn = find_connection(sk);

	if (conn)
		announce(conn);
	return 0;
}

/* One call's bytes on an encrypted socket, under the lock. Each step is called from the hook itself: old
 * verifiers allow little stack below. */
static __always_inline void on_ciphertext(struct connection *conn, __u32 length, bool sending)
{
	bool request = sending == (conn->record.header.role == ROLE_CLIENT);
	__u64 sk = conn->record.header.socket;
	int found = count_ciphertext(sk, length, request, sending);

	if (found & CIPHERTEXT_WRITTEN)
		announce_written(sk);
	if (!(found & CIPHERTEXT_FOLLOWED))
		return;
	follow_records(sk, request, sending);
	if (sending && !conn->tls.session)
		match_send(sk);
}

#endif
