/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its response, from the first byte to the record. All of it under the lock. */
#ifndef OTEL_EBPF_EXCHANGE_H
#define OTEL_EBPF_EXCHANGE_H

#include "head.h"
#include "network_part.h"
#include "process.h"
#include "trace.h"

#define TRAILERS_MAX 128 /* bytes of trailer fields behind which the last chunk is found */
#define STICKY_FLAGS (CAPTURE_TLS | CAPTURE_OLD | CAPTURE_ROLE_GUESSED | CAPTURE_PEER_CLOSED | CAPTURE_HTTP1)

static __always_inline void begin_exchange(struct connection *conn, __u64 now, __u64 offset, __u32 thread)
{
	struct exchange_record *record = &conn->record;

	record->header.offset = offset;
	record->header.time = now;
	record->header.thread = thread;
	record->header.flags &= STICKY_FLAGS;
	record->header.end = END_NONE;
	record->header.error = 0;
	record->request_end = record->response_start = record->response_end = 0;
	record->request_bytes = record->response_bytes = 0;
	record->request_captured = record->response_captured = 0;
	begin_network_part(conn, now);
	settle_context(conn);
	start_head(&conn->request, 0);
	conn->response.state = HEAD_UNKNOWN;
	conn->response.lines = 0;
	conn->exchanges++;
	account(LEDGER_EXCHANGE_SEEN);
}

/* Unix: the path goes behind the heads, so that the record says which server it was. */
static __always_inline __u32 append_path(struct connection *conn, __u64 size)
{
	__u64 length = conn->path_length;

	OPAQUE(size);
	OPAQUE(length);
	if (size > window_start || length > 108)
		return 0;
	bpf_probe_read_kernel(conn->data + size, length, conn->path);
	return length;
}

static __always_inline void send_exchange(struct connection *conn, __u8 kind, __u32 passed, __u32 dropped)
{
	struct exchange_record *record = &conn->record;
	__u64 size;

	record->header.kind = kind;
	if (conn->peer_closed)
		record->header.flags |= CAPTURE_PEER_CLOSED;
	if (record->request_bytes > record->request_captured ||
	    record->response_bytes > record->response_captured)
		record->header.flags |= CAPTURE_TRUNCATED;
	record->request_head = conn->request.state == HEAD_DONE ? conn->request.consumed : 0;
	record->response_head = conn->response.state == HEAD_DONE ? conn->response.consumed : 0;
	record->status = conn->response.state == HEAD_DONE ? conn->response.status : 0;
	size = record->request_captured + record->response_captured;
	record->path_captured = conn->path_length ? append_path(conn, size) : 0;
	size += sizeof(*record) + record->path_captured;
	OPAQUE(size);
	if (size > sizeof(*record) + window_start + 108)
		return;
	emit_for(conn, record, size, passed, dropped);
}

static __noinline int finish_exchange(struct connection *conn, __u32 end, __u32 error)
{
	struct message *request = &conn->request;
	__u64 body = conn->record.request_bytes - request->consumed;

	conn->record.header.end = end;
	conn->record.header.error = error;
	resolve_at_end(conn);
	if (conn->counted || conn->record.header.context.source == CONTEXT_ANSWERED)
		request_ended(conn->record.header.socket);
	end_network_part(conn);
	send_exchange(conn, RECORD_EXCHANGE, LEDGER_EXCHANGE_PASSED, LEDGER_EXCHANGE_RING_FULL);
	conn->record.header.flags &= ~CAPTURE_CONNECTED;
	conn->phase = PHASE_IDLE;
	if (request->state == HEAD_DONE && conn->response.state == HEAD_DONE)
		conn->record.header.flags |= CAPTURE_HTTP1;
	if (request->state != HEAD_DONE || (request->flags & MESSAGE_EXPECTS && !body))
		return 0; /* a client that was refused what it asked for sends no body (RFC 9110, 10.1.1) */
	if (request->flags & MESSAGE_CHUNKED)
		conn->discard_chunks = !(request->flags & MESSAGE_LAST_CHUNK);
	else if (request->flags & MESSAGE_HAS_LENGTH && request->length > body)
		conn->request_due = request->length - body;
	return 0;
}

static __always_inline void finish_amending(struct connection *conn)
{
	if (!conn->amending)
		return;
	conn->amending = 0;
	conn->record.request_captured = conn->record.response_captured = 0;
	send_exchange(conn, RECORD_AMEND, LEDGER_NOTICE_PASSED, LEDGER_NOTICE_RING_FULL);
}

/* The last chunk may be followed by trailer fields: then it stands a little before the end. The
 * last conn->copied bytes stand in the window. Global for the same reasons as `scan_step`. */
__noinline int scan_trailers(__u64 sk, int request)
{
	const __u64 last_chunk = WORD('\r', '\n', '0', '\r', '\n', 0, 0, 0);
	struct connection *conn = find_connection(sk);
	struct message *message;

	if (!conn)
		return 0;
	message = request ? &conn->request : &conn->response;
	for (__u32 i = 0; i < TRAILERS_MAX; i++) {
		__u64 word = word_at(conn, window_start + i);

		if (i + 5 > conn->copied)
			break;
		if ((word & LOW_BYTES(5)) == last_chunk || (!i && (word & LOW_BYTES(3)) == last_chunk >> 16))
			message->flags |= MESSAGE_LAST_CHUNK;
	}
	return 0;
}

static __always_inline void look_for_trailers(struct connection *conn, struct message *message,
					      const struct user_iovec *last, bool kernel)
{
	__u64 size = last->length < TRAILERS_MAX ? last->length : TRAILERS_MAX;

	OPAQUE(size);
	if (size > TRAILERS_MAX ||
	    read_bytes(conn->data + window_start, size, last->base + last->length - size, kernel))
		return;
	conn->copied = size;
	scan_trailers(conn->record.header.socket, message == &conn->request);
}

/* The last chunk's line in a call of its own: whole lines may follow, and an empty one ends them. */
static __always_inline void await_trailers(struct message *message, __u64 word)
{
	if (word >> 32 == WORD('\n', '0', '\r', '\n', 0, 0, 0, 0))
		message->flags |= MESSAGE_TRAILERS;
	else if (word >> 56 != '\n')
		message->flags &= ~MESSAGE_TRAILERS;
}

/*
 * Whether a chunked body ends with this call: its last bytes are the last chunk, at a line start.
 * A chunk whose data ends in the same seven bytes would end the exchange early; what then follows
 * is reported as an amendment.
 */
static __always_inline void look_for_last_chunk(struct connection *conn, struct message *message,
						const struct io *io, __u32 length)
{
	const __u64 last_chunk = WORD(0, 0, 0, '0', '\r', '\n', '\r', '\n');
	struct user_iovec last;
	__u64 word = 0;
	__u64 size;

	if (!last_buffer(&last, io, length))
		return;
	size = last.length < 8 ? last.length : 8;
	OPAQUE(size);
	if (size > 8 || !size ||
	    read_bytes(&word, size, last.base + last.length - size, io->kind == IO_KERNEL_BUFFERS))
		return;
	if (size < 8)
		word = message->tail >> 8 * size | word << (64 - 8 * size);
	message->tail = word;
	if ((word & ~LOW_BYTES(3)) == last_chunk && (last.length == 5 || (word >> 16 & 0xff) == '\n'))
		message->flags |= MESSAGE_LAST_CHUNK;
	else if (word >> 32 != WORD('\r', '\n', '\r', '\n', 0, 0, 0, 0))
		await_trailers(message, word);
	else if (message->flags & MESSAGE_TRAILERS)
		message->flags |= MESSAGE_LAST_CHUNK;
	else
		look_for_trailers(conn, message, &last, io->kind == IO_KERNEL_BUFFERS);
}

/* More than the request's own bytes have come: the client did not wait. */
static __always_inline bool request_overrun(const struct connection *conn)
{
	const struct message *request = &conn->request;
	__u64 due;

	if (request->state != HEAD_DONE || request->flags & MESSAGE_CHUNKED)
		return false;
	due = request->consumed + (request->flags & MESSAGE_HAS_LENGTH ? request->length : 0);
	return conn->record.request_bytes > due;
}

static __always_inline bool request_complete(const struct connection *conn)
{
	const struct message *request = &conn->request;

	if (request->state != HEAD_DONE)
		return false;
	if (request->flags & MESSAGE_CHUNKED)
		return request->flags & MESSAGE_LAST_CHUNK;
	return !(request->flags & MESSAGE_HAS_LENGTH) ||
	       conn->record.request_bytes >= request->consumed + request->length;
}

/* How the response has ended, END_NONE while more is due (RFC 9112, 6.3). */
static __always_inline __u32 response_ended(const struct connection *conn)
{
	const struct message *response = &conn->response;

	if (response->state != HEAD_DONE) /* FastCGI's is followed by its end alone */
		return response->flags & MESSAGE_LAST_CHUNK ? END_CHUNK : END_NONE;
	if (response->status == 101 ||
	    (conn->request.flags & MESSAGE_CONNECT_METHOD && response->status / 100 == 2))
		return END_UPGRADE;
	if (conn->request.flags & MESSAGE_HEAD_METHOD || response->status == 204 || response->status == 304)
		return END_LENGTH;
	if (response->flags & MESSAGE_CHUNKED)
		return response->flags & MESSAGE_LAST_CHUNK ? END_CHUNK : END_NONE;
	if (response->flags & MESSAGE_HAS_LENGTH &&
	    conn->record.response_bytes >= response->consumed + response->length)
		return END_LENGTH;
	return END_NONE;
}

#endif
