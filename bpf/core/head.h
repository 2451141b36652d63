/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the head of an HTTP/1 message (RFC 9112) as its bytes arrive: only as much as tells
 * where the message ends and which trace it belongs to. Python reads the rest.
 *
 * The scan is flat, eight bytes at a time, and keeps its whole state in the connection rather
 * than in registers: the verifier then finds the paths of one round alike, and walks each round
 * once instead of once for each path that led there.
 */
#ifndef OTEL_EBPF_HEAD_H
#define OTEL_EBPF_HEAD_H

#include "trace.h"
#include "traceparent.h"

#define HEAD_MAX 8192
#ifdef BASELINE /* old verifiers tell more ways through a round apart */
#define WORDS_LOOKED_AT 1
#define SCAN_ROUNDS 56 /* words and lines */
#else
#define WORDS_LOOKED_AT 4 /* in one round, so that most lines need but one */
#define SCAN_ROUNDS 40 /* lines, or rounds without one, in one go: most heads need no second */
#endif
#ifdef TRUSTED_SOCKETS
#define ROUNDS_AT_ONCE 24 /* of a call's first bytes, where the verifier walks them anew for each caller */
#else
#define ROUNDS_AT_ONCE SCAN_ROUNDS
#endif
#define SCAN_STEPS \
	40 /* further goes, for HEAD_MAX in lines of five bytes (old kernels: two words) and more */
#define LINE_KEPT 128 /* of a line that is moved to the front of the window */
#define WINDOW_STEP 512 /* bytes that are looked at in one go behind the capture */

#define ONES 0x0101010101010101ULL
#define HIGH_BITS 0x8080808080808080ULL
#define LOWER_CASE 0x2020202020202020ULL

/* Eight characters as one little-endian word. */
#define WORD(a, b, c, d, e, f, g, h) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define LOW_BYTES(n) ((1ULL << 8 * (n)) - 1)

#define CONTENT_ WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-')
#define LENGTH_ WORD('l', 'e', 'n', 'g', 't', 'h', ':', 0)
#define TRANSFER WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')
#define ENCODIN WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n')
#define CHUNKED_ WORD('c', 'h', 'u', 'n', 'k', 'e', 'd', '\r' | 0x20)
#define TRACEPAR WORD('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r')
#define ENT_ WORD('e', 'n', 't', ':', 0, 0, 0, 0)
#define EXPECT_ WORD('e', 'x', 'p', 'e', 'c', 't', ':', 0)
#define HTTP_1 WORD('H', 'T', 'T', 'P', '/', '1', '.', 0)
#define HEAD_METHOD WORD('H', 'E', 'A', 'D', ' ', 0, 0, 0)
#define CONNECT_METHOD WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' ')
#define HTTP2_PREFACE WORD('P', 'R', 'I', ' ', '*', ' ', 'H', 'T')

static __always_inline __u64 word_at(struct connection *conn, __u64 at)
{
	OPAQUE(at);
	if (at > data_end)
		return 0;
	return *(__u64 *)(conn->data + at);
}

static __always_inline __u8 byte_at(struct connection *conn, __u64 at)
{
	OPAQUE(at);
	if (at > data_end)
		return 0;
	return conn->data[at];
}

static __always_inline void start_head(struct message *message, __u32 at)
{
	message->state = HEAD_OPEN;
	message->flags = 0;
	message->lines = 0;
	message->status = 0;
	message->consumed = 0;
	message->length = 0;
	message->tail = 0;
	message->line = message->position = message->end = at;
	message->length_at = message->context_at = 0;
}

/* The request line ends in "HTTP/1.x" and its line end; `next` is the start of the next line. */
static __always_inline void take_request_line(struct connection *conn, struct message *message, __u32 next)
{
	__u64 first = word_at(conn, message->line);
	__u32 end = next - 1; /* at the LF */

	if (byte_at(conn, end - 1) == '\r')
		end--;
	if (end < message->line + 8 || (word_at(conn, end - 8) & LOW_BYTES(7)) != HTTP_1) {
		message->state = HEAD_UNKNOWN;
		return;
	}
	if ((first & LOW_BYTES(5)) == HEAD_METHOD)
		message->flags |= MESSAGE_HEAD_METHOD;
	else if (first == CONNECT_METHOD)
		message->flags |= MESSAGE_CONNECT_METHOD;
}

static __always_inline void take_status_line(struct connection *conn, struct message *message)
{
	__u64 code = word_at(conn, message->line + 9); /* behind "HTTP/1.1 " */
	__u32 hundreds = (code & 0xff) - '0', tens = (code >> 8 & 0xff) - '0',
	      ones = (code >> 16 & 0xff) - '0';

	if ((word_at(conn, message->line) & LOW_BYTES(7)) != HTTP_1 || hundreds > 9 || tens > 9 || ones > 9)
		message->state = HEAD_UNKNOWN;
	else
		message->status = hundreds * 100 + tens * 10 + ones;
}

static __always_inline void take_field(struct connection *conn, struct message *message, __u32 next)
{
	__u32 line = message->line;
	__u64 first = word_at(conn, line) | LOWER_CASE;
	__u64 second;

	if (first == CONTENT_) {
		second = word_at(conn, line + 8) | LOWER_CASE;
		if ((second & LOW_BYTES(7)) == LENGTH_)
			message->length_at = line + 15;
	} else if (first == TRANSFER) {
		second = word_at(conn, line + 8) | LOWER_CASE;
		if (second == ENCODIN && next > line + 26 &&
		    (word_at(conn, next - 9) | LOWER_CASE) == CHUNKED_)
			message->flags |= MESSAGE_CHUNKED;
	} else if (first == TRACEPAR) {
		second = word_at(conn, line + 8) | LOWER_CASE;
		if ((second & LOW_BYTES(4)) == ENT_ && next > line + 67)
			message->context_at = line + 12;
	} else if ((first & LOW_BYTES(7)) == EXPECT_) {
		message->flags |= MESSAGE_EXPECTS;
	}
}

/* One complete line. Returns true at the empty line that ends the head. */
static __always_inline bool take_line(struct connection *conn, struct message *message, __u32 next,
				      bool request)
{
	__u32 size = next - message->line;

	message->consumed += size;
	if (!message->lines) {
		if (request)
			take_request_line(conn, message, next);
		else
			take_status_line(conn, message);
	} else if (size == 1 || (size == 2 && byte_at(conn, message->line) == '\r')) {
		return true;
	} else {
		take_field(conn, message, next);
	}
	message->lines++;
	message->line = next;
	return false;
}

/* The value of Content-Length, at most 18 digits. */
static __always_inline void take_length(struct connection *conn, struct message *message)
{
	__u32 at = message->length_at;
	__u64 length = 0;
	int i;

	message->length_at = 0;
	for (i = 0; i < 2 && byte_at(conn, at) == ' '; i++)
		at++;
	for (i = 0; i < 19; i++, at++) {
		__u32 digit = byte_at(conn, at) - '0';

		if (digit > 9)
			break;
		length = length * 10 + digit;
	}
	if (!i || i == 19)
		return;
	message->length = length;
	message->flags |= MESSAGE_HAS_LENGTH;
}

/* The value of traceparent, where it stands within the capture or has just gone by. */
static __always_inline void take_context(struct connection *conn, struct message *message)
{
	__u64 at = message->context_at;

	message->context_at = 0;
	if (byte_at(conn, at) == ' ')
		at++;
	OPAQUE(at);
	if (at < data_end - 64 &&
	    (message->state == HEAD_FASTCGI ||
	     ends_traceparent(conn->data + at)) && /* the first tells its length */
	    read_traceparent(&conn->found, conn->data + at))
		settle_traceparent(conn->record.header.socket);
}

/* Marks the line feeds of a word: the high bit of each, exact for the lowest. */
static __always_inline __u64 line_feeds(__u64 word)
{
	word ^= ONES * '\n';
	return (word - ONES) & ~word & HIGH_BITS;
}

/* How far behind `at` the first line feed of the next WORDS_LOOKED_AT words ends, 0 if there is none. */
static __always_inline __u32 to_next_line(struct connection *conn, __u64 at)
{
	const __u64 *words;
	__u64 found;
	__u32 passed = 0;

	OPAQUE(at);
	if (at > data_end)
		return 0;
	words = (const __u64 *)(conn->data + at);
	found = line_feeds(words[0]);
	for (int i = 1; !found && i < WORDS_LOOKED_AT; i++) {
		found = line_feeds(words[i]);
		passed += 8;
	}
	if (!found)
		return 0;
	found = (found & -found) - 1; /* the bytes up to the lowest match have bit 0 set */
	return passed + (((found & ONES) * ONES) >> 56);
}

/* Looks at what arrived since the last call: [position, end) of data. */
static INLINE_IF_NEW int scan(struct connection *conn, struct message *message, bool request, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		__u32 at = message->position, end = message->end, next;

		if (at >= end || message->state != HEAD_OPEN)
			break;
		next = to_next_line(conn, at);
		if (!next) {
			at += WORDS_LOOKED_AT * 8;
			message->position = at < end ? at : end;
			continue;
		}
		next = THROUGH_MEMORY(message->position, at + next);
		if (next > end) {
			message->position = end; /* a line end of what stood here before */
			continue;
		}
		if (!take_line(conn, message, next, request))
			continue;
		message->line = next;
		if (message->status / 100 == 1 && message->status != 101) {
			message->lines = 0; /* an interim response: the next head follows */
			message->flags = 0;
			message->status = 0;
			continue;
		}
		message->state = HEAD_DONE;
	}
	if (message->length_at)
		take_length(conn, message);
	return 0;
}

/* What the first bytes cannot be, so that binary protocols are not scanned for lines. */
static __always_inline bool may_be_http(struct connection *conn, struct message *message, bool request)
{
	__u64 first = word_at(conn, message->line);
	__u32 size = message->end - message->line;

	if (request)
		return (first & 0xff) >= 'A' && (first & 0xff) <= 'Z';
	if (size < 7)
		return (first & 0xff) == 'H';
	return (first & LOW_BYTES(7)) == HTTP_1;
}

/* Moves the incomplete line to the front of the window, so that what follows fits behind it. */
static __always_inline void rewind_window(struct connection *conn, struct message *message)
{
	__u64 start = window_start, line = message->line, kept = message->end - line;

	if (kept > LINE_KEPT) { /* longer than any field that is looked at */
		message->consumed += kept - LINE_KEPT;
		kept = LINE_KEPT;
	}
	OPAQUE(kept);
	OPAQUE(line);
	if (kept > LINE_KEPT || line > data_end - LINE_KEPT)
		return;
	bpf_probe_read_kernel(conn->data + start, kept, conn->data + line);
	if (message->context_at >= start)
		message->context_at = 0;
	message->line = start;
	message->position = message->end = start + kept;
}

/*
 * One further step through a head: through what is captured, then through the bytes of the call
 * behind that, conn->rest. Returns whether there is more to look at.
 *
 * A global function: the verifier walks it once, on its own, and not for each state in which it may
 * be called; and with scalar arguments, which are all that global functions take before 5.12
 * (e5069b9c23b3), hence the second look-up.
 */
__noinline int scan_step(__u64 sk, int request)
{
	struct connection *conn = find_connection(sk);
	struct message *message;
	__u32 done;

	if (!conn)
		return 0;
	message = request ? &conn->request : &conn->response;
	if (message->position >= message->end) {
		if (message->end < window_start || message->end > data_end - WINDOW_STEP)
			rewind_window(conn, message);
		done = copy_bytes(conn->data, message->end, data_end - WINDOW_STEP, WINDOW_STEP, WINDOW_STEP,
				  &conn->rest, conn->rest_length);
		if (!done)
			return 0;
		message->end += done;
		advance(&conn->rest, done);
		conn->rest_length -= done;
	}
	scan(conn, message, request, SCAN_ROUNDS);
	if (request && message->context_at)
		take_context(conn, message); /* before the window moves on */
	return message->state == HEAD_OPEN && (message->position < message->end || conn->rest_length);
}

/* The head goes on: it is followed for HEAD_MAX bytes. */
static __always_inline void scan_on(struct connection *conn, struct message *message, bool request)
{
	for (int i = 0; i < SCAN_STEPS; i++)
		if (!scan_step(conn->record.header.socket, request))
			break;
	if (message->state == HEAD_OPEN && (conn->rest_length || message->consumed > HEAD_MAX))
		message->state = HEAD_UNKNOWN;
}

#endif
