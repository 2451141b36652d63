/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a message is one HTTP/1 request with a whole head, and where a field can be written into it. The
 * rules of RFC 9112; whatever is unusual is a doubt, and a doubt is a no.
 */
#ifndef OTEL_EBPF_INJECT_HEAD_H
#define OTEL_EBPF_INJECT_HEAD_H

#include "head.h"
#include "written.h"

#define INJECT_HEAD_MAX 4096
#define INJECT_STEP 512 /* characters that are looked at in one go */
#define LENGTH_MAX 99999999999999999ULL

/* What became of a request, or of a connection that was let go. */
enum injected {
	INJECTED_NONE = 0,
	INJECTED_WRITTEN = 1,
	INJECTED_PRESENT = 2, /* it has a traceparent already */
	INJECTED_UNKNOWN = 3, /* the connection is not known as an HTTP client's */
	INJECTED_NOT_HTTP = 4, /* no HTTP/1 request line, or an odd head */
	INJECTED_INCOMPLETE = 5, /* the head's end is not in the message, or too far behind */
	INJECTED_UPGRADE = 6, /* another protocol is asked for */
	INJECTED_PIPELINED = 7, /* there is more than one request in the message */
	INJECTED_FAILED = 8, /* the kernel would not */
	INJECTED_FULL = 9, /* there was no room for the connection */
	INJECTED_UNFIT = 10, /* a map of sockets would change what its socket does */
	INJECTED_SIZE,
};

#define UPGRADE_ WORD('u', 'p', 'g', 'r', 'a', 'd', 'e', 0)
#define LAST_OF_LENGTH WORD('t', '-', 'l', 'e', 'n', 'g', 't', 'h')
#define LAST_OF_ENCODING WORD('e', 'n', 'c', 'o', 'd', 'i', 'n', 'g')
#define LAST_OF_TRACEPARENT WORD('c', 'e', 'p', 'a', 'r', 'e', 'n', 't')

/* A field's name has ended. */
static __always_inline void take_name(struct head_scan *scan)
{
	__u32 characters = scan->characters;
	__u64 first = scan->first | LOWER_CASE, last = scan->last | LOWER_CASE;

	if (scan->after_colon || !scan->lines)
		return;
	scan->after_colon = 1;
	if (last >> 56 == ' ') /* "traceparent :", which servers are to refuse */
		scan->found = INJECTED_NOT_HTTP;
	else if (characters == 11 && first == TRACEPAR && last == LAST_OF_TRACEPARENT)
		scan->found = INJECTED_PRESENT;
	else if (characters == 7 && last >> 8 == UPGRADE_)
		scan->found = INJECTED_UPGRADE;
	else if (characters == 17 && first == TRANSFER && last == LAST_OF_ENCODING)
		scan->chunked = 1;
	else if (characters == 14 && first == CONTENT_ && last == LAST_OF_LENGTH)
		scan->takes_length = 1;
}

static __always_inline void take_digit(struct head_scan *scan, __u8 character)
{
	__u64 digit = (__u8)(character - '0');

	if (character == ' ' || character == '\t')
		return;
	if (digit > 9 || scan->length > LENGTH_MAX)
		scan->found = INJECTED_NOT_HTTP;
	else
		scan->length = scan->length * 10 + digit;
}

/* What begins the line may be a method's name, as far as it is known. */
static __always_inline bool is_method(const struct head_scan *scan)
{
	__u8 first = scan->first;

	return !scan->first || (first >= 'A' && first <= 'Z');
}

/* The request line has ended. */
static __always_inline void take_request(struct head_scan *scan)
{
	__u64 last = scan->last;
	__u8 minor = last >> 56;

	if (scan->first == CONNECT_METHOD)
		scan->found = INJECTED_UPGRADE;
	else if (!is_method(scan) || (last & LOW_BYTES(7)) != HTTP_1 || (minor != '0' && minor != '1') ||
		 !scan->after_return)
		scan->found = INJECTED_NOT_HTTP;
}

/* A line has ended at `next`. */
static __always_inline void end_line(struct head_scan *scan, __u32 next)
{
	if (!scan->lines) {
		take_request(scan);
		scan->place = next;
	} else if (!scan->characters) {
		scan->end = next;
	}
	scan->lines++;
	scan->characters = 0;
	scan->after_colon = scan->takes_length = scan->after_return = 0;
}

static __always_inline void take_character(struct head_scan *scan, __u8 character, __u32 next)
{
	if (character == '\r') {
		scan->after_return = 1;
		return;
	}
	if (character == '\n') {
		end_line(scan, next);
		return;
	}
	/* A line that goes on with the one before, which is to be ours. */
	if (scan->lines && !scan->characters && (character == ' ' || character == '\t'))
		scan->found = INJECTED_NOT_HTTP;
	if (character == ':')
		take_name(scan);
	else if (scan->takes_length)
		take_digit(scan, character);
	scan->last = scan->last >> 8 | (__u64)character << 56;
	scan->characters++;
	if (scan->characters == 8)
		scan->first = scan->last;
}

/*
 * Looks at the message's next characters. Returns whether to go on. Global, so that the verifier walks it
 * once and not for each step: with scalar arguments beside the context, hence the look-up.
 */
__noinline int scan_characters(struct sk_msg_md *message, __u64 socket, __u32 from)
{
	struct injecting *known = bpf_map_lookup_elem(&injecting, &socket);
	__u8 *end = message->data_end, *start = message->data;

	if (!known || from > INJECT_HEAD_MAX - INJECT_STEP)
		return 0;
	start += from;
	for (__u32 i = 0; i < INJECT_STEP; i++) {
		__u8 *character = start + i;

		if ((void *)(character + 1) > (void *)end)
			return 0;
		take_character(&known->scan, *character, from + i + 1);
		if (known->scan.found || known->scan.end)
			return 0;
	}
	return 1;
}

/* The message, whose first `size` bytes can be read, is looked at from its first character on. Returns where a
 * field can be written, 0 where nothing is to be: then scan.found says why. */
static __noinline __u32 find_place(struct sk_msg_md *message, struct injecting *known, __u64 socket)
{
	struct head_scan *scan = &known->scan;
	__u32 behind;

	__builtin_memset(scan, 0, sizeof(*scan));
	for (__u32 from = 0; from < INJECT_HEAD_MAX; from += INJECT_STEP)
		if (!scan_characters(message, socket, from))
			break;
	if (scan->found)
		return 0;
	if (!scan->end) {
		scan->found = scan->lines || is_method(scan) ? INJECTED_INCOMPLETE : INJECTED_NOT_HTTP;
		return 0;
	}
	behind = message->size - scan->end;
	if (!scan->chunked && behind > scan->length) {
		scan->found = INJECTED_PIPELINED;
		return 0;
	}
	return scan->place;
}

#endif
