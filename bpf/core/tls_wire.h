/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypted sockets, seen from outside: who they are, when their handshake is over and what it settled.
 * All of it is said in clear, whatever library encrypts. Record headers are followed through the
 * handshake, and on until a session is bound to the socket; then nobody asks any more.
 *
 * Budget: 0.5 us a call; 0.1 us once a session is bound.
 */
#ifndef OTEL_EBPF_TLS_WIRE_H
#define OTEL_EBPF_TLS_WIRE_H

#include "take.h"
#include "tls_call.h"
#include "tls_hello.h"

/* RFC 8446, 5.1 */
#define RECORD_CHANGE 20
#define RECORD_ALERT 21
#define RECORD_HELLO 22
#define RECORD_DATA 23
#define RECORD_HEADER 5
#define RECORD_LENGTH_MAX (16384 + 2048) /* of TLS 1.2; 256 in TLS 1.3 */
#define ALERT_FATAL 2
#define ALERT_UNREADABLE 255
#define ENCRYPTED_ALERT 19 /* length of the payload in TLS 1.3: level, code, type, tag */
#define RECORD_STEPS 16 /* headers and payloads that are looked at in one call */

static __always_inline __u32 record_length(__u64 header)
{
	return (header >> 24 & 0xff) << 8 | (header >> 32 & 0xff);
}

/* Whether these first eight bytes are the start of a record. An old connection may be amid its data. */
static __always_inline bool starts_record(__u64 word, bool old)
{
	__u8 type = word, major = word >> 8, minor = word >> 16;

	if (major != 3 || minor > 4 || record_length(word) - 1 >= RECORD_LENGTH_MAX)
		return false;
	return type == RECORD_HELLO || (old && type >= RECORD_CHANGE && type <= RECORD_DATA);
}

/* What looked like an exchange is ciphertext: from here on the connection's bytes are those that a
 * library passes. */
static __always_inline void turn_encrypted(struct connection *conn)
{
	if (conn->phase != PHASE_IDLE)
		account(LEDGER_EXCHANGE_ENCRYPTED);
	conn->phase = PHASE_IDLE;
	conn->mode = MODE_EXCHANGE;
	conn->exchanges = 0;
	conn->sent = conn->received = 0;
	conn->request_due = conn->discard_chunks = conn->amending = 0;
	conn->record.header.flags |= CAPTURE_TLS;
	conn->record.header.flags &= ~CAPTURE_HTTP1;
}

static __always_inline void start_handshake(struct connection *conn)
{
	bool hello = (__u8)word_at(conn, 0) == RECORD_HELLO;

	forget_asked(conn);
	if (conn->record.header.role == ROLE_SERVER)
		distrust(conn->record.header.process);
	turn_encrypted(conn);
	conn->tls.phase = hello ? TLS_HANDSHAKE : TLS_OPEN;
}

/* Either direction's side by one pointer, of which the verifier does not know which it is. */
static __always_inline struct tls_side *side_of(struct tls_state *tls, bool request)
{
	__u64 which = !request;

	OPAQUE(which);
	return which > 1 ? &tls->client : &tls->client + which;
}

/* The handshake is over, or will never be: `end` says how. */
static __always_inline void report_handshake(struct connection *conn, __u32 end, __u32 error)
{
	struct record_header *header = &conn->record.header;

	conn->tls.phase = TLS_OPEN;
	if (conn->tls.client.lost || conn->tls.server.lost)
		return;
	read_hello(header->socket);
	header->end = end;
	header->error = error;
	header->offset = 0;
	header->context.source = CONTEXT_NONE;
	conn->record.request_end = 0;
	conn->record.response_end = end == END_NONE ? conn->last : bpf_ktime_get_boot_ns();
	conn->request.state = conn->response.state = HEAD_UNKNOWN;
	send_exchange(conn, RECORD_HANDSHAKE, LEDGER_NOTICE_PASSED, LEDGER_NOTICE_RING_FULL);
	conn->tls.reported = 1;
}

/* Keeps the start of either side's first flight. */
static __always_inline void capture_hello(struct connection *conn, struct call *call, __u32 length,
					  bool request)
{
	struct exchange_record *record = &conn->record;
	__u32 at, room;

	if (request)
		record->request_bytes += length;
	else
		record->response_bytes += length;
	if (!request && !record->response_start)
		record->response_start = conn->last;
	room = capture_room(record, length, request, &at);
	conn->copied = copy_bytes(conn->data, at, window_start, capture_limit, room, &call->io, length);
	if (request)
		record->request_captured += conn->copied;
	else
		record->response_captured += conn->copied;
}

/* An alert in clear; what is encrypted looks like data, or cannot be told from a goodbye. */
static __always_inline void on_alert(struct connection *conn, const struct tls_side *side, __u64 word)
{
	if (!side->changed && (__u8)word == ALERT_FATAL)
		conn->record.header.tls.alert = (__u8)(word >> 8) + 1;
}

/* One record's header is complete. */
static __always_inline void on_record(struct connection *conn, struct tls_side *side, bool request)
{
	struct tls_state *tls = &conn->tls;
	__u8 type = side->type;

	if (type == RECORD_CHANGE) {
		if (!tls->client.changed && !tls->server.changed) /* who is first tells (RFC 5246, 7.3) */
			conn->record.header.tls.resumed = request ? 1 : 2;
		side->changed = 1;
	} else if (type == RECORD_DATA || (type == RECORD_HELLO && side->changed)) {
		if (request && type == RECORD_DATA && !side->finished && side->left == ENCRYPTED_ALERT)
			conn->record.header.tls.alert = ALERT_UNREADABLE;
		side->finished = 1;
	}
	if (tls->phase == TLS_HANDSHAKE && tls->client.finished && tls->server.finished &&
	    !conn->record.header.tls.alert)
		report_handshake(conn, END_NONE, 0);
}

/* Reads up to `size` (<= 8) bytes at the start of what is left of the call into a word. */
static __always_inline __u64 peek(struct connection *conn, __u32 size, __u32 *got)
{
	*got = copy_bytes(conn->data, window_start, window_start, 8, size, &conn->rest, conn->rest_length);
	return word_at(conn, window_start) & (*got < 8 ? LOW_BYTES(*got) : ~0ULL);
}

static __always_inline void skip(struct connection *conn, __u32 size)
{
	advance(&conn->rest, size);
	conn->rest_length -= size;
}

static __always_inline void pass_payload(struct connection *conn, struct tls_side *side)
{
	__u32 got, size = side->left < conn->rest_length ? side->left : conn->rest_length;

	if (side->type == RECORD_ALERT && side->left == 2 && size == 2)
		on_alert(conn, side, peek(conn, 2, &got));
	side->left -= size;
	skip(conn, size);
}

/*
 * One step through a call's bytes, conn->rest: a payload, or a header. Returns the length of an
 * application record that starts here, 0 for anything else, -1 where nothing more can be told. Global
 * for the same reasons as `scan_step`.
 */
__noinline int record_step(__u64 sk, int request)
{
	struct connection *conn = find_connection(sk);
	struct tls_side *side;
	__u32 got, size;
	__u64 word;

	if (!conn || !conn->rest_length)
		return -1;
	side = side_of(&conn->tls, request);
	if (side->left) {
		pass_payload(conn, side);
		return 0;
	}
	size = RECORD_HEADER - side->have;
	word = peek(conn, size, &got);
	if (!got)
		return -1;
	side->header |= word << 8 * (side->have & 7);
	side->have += got;
	skip(conn, got);
	if (side->have < RECORD_HEADER)
		return 0;
	if (!starts_record(side->header, true))
		return -1;
	side->left = record_length(side->header);
	side->type = side->header;
	side->have = 0;
	side->header = 0;
	on_record(conn, side, request);
	return side->type == RECORD_DATA ? side->left : 0;
}

/* The thread has received on a socket that nobody has bound: a candidate, unless there is one already. */
static __always_inline void keep_received(struct tls_thread *thread, __u64 sk, __u64 now)
{
	if (thread->received_from && thread->received_from != sk)
		thread->crossed_at = now;
	thread->received_from = sk;
	__builtin_memset(thread->received, 0, sizeof(thread->received));
}

/* Follows the records of one call, and keeps the lengths that may confirm whose they are. Global for the
 * same reasons as `scan_step`. */
__noinline int follow_records(__u64 sk, int request, int sending)
{
	struct connection *conn = find_connection(sk);
	struct tls_thread *thread = this_thread(true);
	struct tls_side *side;
	__u32 found = 0;

	if (!conn || !thread)
		return 0;
	side = side_of(&conn->tls, request);
	if (sending)
		thread->sent = 0;
	for (int i = 0; i < RECORD_STEPS; i++) {
		bool open = conn->tls.phase == TLS_OPEN;
		int length = record_step(sk, request);

		if (length < 0)
			break;
		if (!length || !open) /* the last of a handshake look like data */
			continue;
		if (!sending && !found)
			keep_received(thread, sk, conn->last);
		if (!sending && found < RECORDS_KEPT)
			thread->received[found & (RECORDS_KEPT - 1)] = length;
		if (sending && !found)
			thread->sent = length;
		found++;
	}
	if (conn->rest_length)
		side->lost = 1;
	return 0;
}

#endif
