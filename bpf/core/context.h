/* SPDX-License-Identifier: Apache-2.0 */
/* Trace and span ids, made the same way as otel_ebpf/kernel/trace_ids.py makes them. */
#ifndef OTEL_EBPF_CONTEXT_H
#define OTEL_EBPF_CONTEXT_H

#include <bpf/bpf_endian.h>
#include "connection.h"

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
static __always_inline __u64 mix(__u64 value)
{
	value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
	value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
	return value ^ (value >> 31);
}

static __always_inline void store_id(__u8 *to, __u64 id)
{
	*(__u64 *)to = bpf_cpu_to_be64(id);
}

/* The context of a request that has no parent. */
static __always_inline void root_context(struct trace_context *context, __u64 connection, __u64 offset,
					 __u8 role)
{
	__u64 seed = mix(connection ^ id_secret_low);
	__u64 span = mix((seed + offset) ^ id_secret_high ^ role);
	__u64 trace = mix(span + id_secret_low);
	__u64 high = mix(trace ^ id_secret_high);

	store_id(context->trace_id, high ? high : 1);
	store_id(context->trace_id + 8, trace);
	store_id(context->span_id, span ? span : 1);
	*(__u64 *)context->parent_id = 0;
	context->flags = 0;
	context->source = CONTEXT_ROOT;
}

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
static __always_inline bool ends_traceparent(__u8 after, __u8 version)
{
	return after == '\r' || after == '\n' || after == ' ' || after == '\t' || (after == '-' && version);
}

/* `text`: version "-" trace id "-" parent id "-" flags, and what is behind; 56 readable bytes. `found`
 * is scratch: the stack has no room for it below the hooks. */
static __noinline int take_traceparent(struct trace_context *context, struct trace_context *found,
				       const __u8 *text)
{
	__u8 trace = read_hex(found->trace_id, text + 3, 16);
	__u8 parent = read_hex(found->parent_id, text + 36, 8);
	__u8 others = read_hex(&found->flags, text + 53, 1) | read_hex(&found->source, text, 1);

	if ((trace | parent | others) & NOT_HEX || !trace || !parent || found->source == 0xff)
		return 0;
	if (text[2] != '-' || text[35] != '-' || text[52] != '-' ||
	    !ends_traceparent(text[55], found->source))
		return 0;
	__builtin_memcpy(context->trace_id, found->trace_id, 16);
	__builtin_memcpy(context->parent_id, found->parent_id, 8);
	context->flags = found->flags;
	context->source = CONTEXT_HEADER;
	return 1;
}

#endif
