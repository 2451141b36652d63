/* SPDX-License-Identifier: Apache-2.0 */
/* The header traceparent (W3C trace context, section 3.2). */
#ifndef OTEL_EBPF_TRACEPARENT_H
#define OTEL_EBPF_TRACEPARENT_H

#include "../include/kernel.h"
#include "../include/wire.h"

#define NOT_HEX 0x80

/* One more than the digit's value, 0 for no digit. A table instead of comparisons: the verifier would
 * follow both ways of each of 104 branches. Lower case only (W3C trace context, 3.2.2). */
static const __u8 hex_digits[256] = {
	['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* Reads `pairs` hex pairs at `text`. Returns the bitwise or of all digits, so that bit 7 says that
 * one was none, and 0 that all were zero. */
static __always_inline __u8 read_hex(__u8 *to, const __u8 *text, const int pairs)
{
	__u8 any = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < pairs; i++) {
		__u8 first = text[2 * i], second = text[2 * i + 1];
		__u8 high = hex_digits[first] - 1, low = hex_digits[second] - 1;

		to[i] = high << 4 | low;
		any |= high | low;
	}
	return any;
}

/* What may stand behind the flags: nothing in version 00, more fields in versions to come. */
static __always_inline bool ends_traceparent(const __u8 *text)
{
	bool later = text[0] != '0' || text[1] != '0';
	__u8 after = text[55];

	return after == '\r' || after == '\n' || after == ' ' || after == '\t' || (after == '-' && later);
}

/* `text`: version "-" trace id "-" parent id "-" flags; 55 readable bytes. */
static __noinline int read_traceparent(struct trace_context *found, const __u8 *text)
{
	__u8 trace = read_hex(found->trace_id, text + 3, 16);
	__u8 parent = read_hex(found->parent_id, text + 36, 8);
	__u8 others = read_hex(&found->flags, text + 53, 1) | read_hex(&found->source, text, 1);
	__u8 version = found->source;

	found->source = CONTEXT_NONE;
	if ((trace | parent | others) & NOT_HEX || !trace || !parent || version == 0xff)
		return 0;
	if (text[2] != '-' || text[35] != '-' || text[52] != '-')
		return 0;
	found->source = CONTEXT_HEADER;
	return 1;
}

#endif
