/* SPDX-License-Identifier: Apache-2.0 */
/* What one call's bytes do to an exchange: capture them, and follow the head through them. */
#ifndef OTEL_EBPF_TAKE_H
#define OTEL_EBPF_TAKE_H

#include "fastcgi.h"

/* Where the next bytes of this direction are captured, and how many still fit: none behind a hole. */
static __always_inline __u32 capture_room(const struct exchange_record *record, __u32 length, bool request,
					  __u32 *at)
{
	if (request) {
		*at = record->request_captured;
		if (record->request_bytes != *at + length || record->response_captured)
			return 0;
		return request_capture - *at;
	}
	*at = record->request_captured + record->response_captured;
	if (record->response_bytes != record->response_captured + length)
		return 0;
	return response_capture - record->response_captured;
}

/* Follows the head through what has just been captured, conn->copied bytes. */
static __always_inline void follow_captured(struct connection *conn, struct message *message, bool request)
{
	bool first = message->end == message->line && !message->consumed;

	if (message->state != HEAD_OPEN || !conn->copied)
		return;
	message->end = conn->record.request_captured;
	if (!request)
		message->end += conn->record.response_captured;
	if (first && !may_be_http(conn, message, request))
		message->state = request ? state_of_binary(conn, message) : HEAD_UNKNOWN;
	else
		scan(conn, message, request, ROUNDS_AT_ONCE);
}

/*
 * Follows a message through the rest of a call's bytes, and looks for the end of a chunked body. Global
 * for the same reasons as `scan_step`. New kernels have looked at what was captured before: it is all
 * that most calls need, and they are spared the look-up.
 */
__noinline int follow(__u64 sk, __u32 length, int request, int slot)
{
	struct connection *conn = find_connection(sk);
	struct call *call = this_call(slot);
	struct message *message;
	__u32 done;

	if (!conn || !call)
		return 0;
	message = request ? &conn->request : &conn->response;
	done = conn->copied;
#ifndef TRUSTED_SOCKETS
	follow_captured(conn, message, request);
#endif
	if (message->state == HEAD_OPEN && (message->position < message->end || done < length)) {
		conn->rest = call->io;
		conn->rest_length = length - done;
		advance(&conn->rest, done);
		scan_on(conn, message, request);
	}
	if (message->state == HEAD_FASTCGI)
		follow_fastcgi(sk, length, request, slot);
	if (request && message->context_at)
		take_context(conn, message);
	if (message->flags & MESSAGE_CHUNKED && message->state == HEAD_DONE)
		look_for_last_chunk(conn, message, &call->io, length);
	return 0;
}

/* Whether each call's bytes are to be looked at, behind the capture too. */
static __always_inline bool is_followed(const struct message *message)
{
	return message->state == HEAD_OPEN || message->state == HEAD_FASTCGI;
}

/* Captures what still fits of this call's bytes, which are counted already. */
static __always_inline void take_bytes(struct connection *conn, struct call *call, struct message *message,
				       __u32 length, bool request, __u32 slot)
{
	__u32 at, room = capture_room(&conn->record, length, request, &at);

	conn->copied = copy_bytes(conn->data, at, window_start, capture_limit, room, &call->io, length);
	if (request)
		conn->record.request_captured += conn->copied;
	else
		conn->record.response_captured += conn->copied;
	if (message->state == HEAD_OPEN && conn->copied < length && conn->copied < room)
		message->state = HEAD_UNKNOWN; /* unreadable: the head has a hole */
#ifdef TRUSTED_SOCKETS
	request = THROUGH_MEMORY(call->reserved, request);
	message = message_of(conn, request);
	follow_captured(conn, message, request);
#endif
	if (is_followed(message) || message->context_at || message->flags & MESSAGE_CHUNKED)
		follow(conn->record.header.socket, length, request, slot);
}

/*
 * What the bytes of one call mean to the message that they belong to. One place for both directions:
 * what it costs the verifier is then paid once, and what it costs the processor's caches too. Most
 * calls of a long body have nothing to say: it is captured, and its length is known.
 */
static __always_inline void take(struct connection *conn, struct call *call, __u32 length, bool request,
				 __u32 slot)
{
	const struct exchange_record *record = &conn->record;
	struct message *message;
	bool room;

	message = message_of(conn, request);
	room = request ? record->request_captured < request_capture :
			 record->response_captured < response_capture;

	if (call->io.kind != IO_UNREADABLE &&
	    (room || is_followed(message) || message->flags & MESSAGE_CHUNKED))
		take_bytes(conn, call, message, length, request, slot);
	else if (message->state == HEAD_OPEN)
		message->state = HEAD_UNKNOWN;
}

static __always_inline void count_request(struct connection *conn, __u32 length, __u64 now)
{
	conn->record.request_end = now;
	conn->record.request_bytes += length;
}

static __always_inline void count_response(struct connection *conn, __u32 length, __u64 now)
{
	struct exchange_record *record = &conn->record;

	if (conn->phase == PHASE_REQUEST) {
		conn->phase = PHASE_RESPONSE;
		if (!record->response_start) {
			start_head(&conn->response, record->request_captured);
			if (conn->request.state == HEAD_UNKNOWN || conn->request.state == HEAD_FASTCGI)
				conn->response.state = conn->request.state;
		}
		record->response_start = now;
	}
	record->response_end = now;
	record->response_bytes += length;
}

/* An interim response (1xx) is not the answer: whatever comes next is. */
static __always_inline bool only_interim(const struct message *response)
{
	return response->state == HEAD_OPEN && response->consumed && !response->lines &&
	       response->line == response->end;
}

#endif
