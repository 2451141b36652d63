/* SPDX-License-Identifier: Apache-2.0 */
/* The field `traceparent`, as it is written into a request. */
#ifndef OTEL_EBPF_INJECT_FIELD_H
#define OTEL_EBPF_INJECT_FIELD_H

#include <bpf/bpf_endian.h>
#include "inject_head.h"
#include "trace.h"

/* The sampler: a parent's flag decides, else the trace id's low half, if it is below this. */
const volatile __u32 sampled_by_parent = 0;
const volatile __u32 sampled_always = 0;
const volatile __u64 sampled_below = 0;

/* The flags that the server is told: as this request's own span will be sampled. */
static __always_inline __u8 flags_to_tell(const struct trace_context *context)
{
	bool decided = context->source == CONTEXT_HEADER || context->source & CONTEXT_DECIDED;

	if (sampled_by_parent && decided)
		return context->flags;
	return sampled_always || bpf_be64_to_cpu(*(const __u64 *)(context->trace_id + 8)) < sampled_below;
}

static const char hex[16] = "0123456789abcdef";

static __always_inline void write_hex(__u8 *to, const __u8 *from, const int bytes)
{
#pragma unroll
	for (int i = 0; i < bytes; i++) {
		to[2 * i] = hex[from[i] >> 4];
		to[2 * i + 1] = hex[from[i] & 15];
	}
}

/* Room for the field is made and filled. SK_DROP only where the room can be neither filled nor taken back. */
static __always_inline int write_field(struct sk_msg_md *message, const struct trace_context *context,
				       __u32 place, struct injecting *known)
{
	__u8 flags = flags_to_tell(context), *field;

	if (bpf_msg_push_data(message, place, WRITTEN_BYTES, 0)) {
		known->scan.found = INJECTED_FAILED;
		return SK_PASS;
	}
	if (bpf_msg_pull_data(message, place, place + WRITTEN_BYTES, 0))
		goto take_back;
	field = message->data;
	if ((void *)(field + WRITTEN_BYTES) > message->data_end)
		goto take_back;
	__builtin_memcpy(field, "traceparent: 00-", 16);
	write_hex(field + 16, context->trace_id, 16);
	field[48] = '-';
	write_hex(field + 49, context->span_id, 8);
	field[65] = '-';
	write_hex(field + 66, &flags, 1);
	field[68] = '\r';
	field[69] = '\n';
	known->written = WRITTEN_BYTES;
	known->scan.found = INJECTED_WRITTEN;
	return SK_PASS;
take_back:
	known->scan.found = INJECTED_FAILED;
	return bpf_msg_pop_data(message, place, WRITTEN_BYTES, 0) ? SK_DROP : SK_PASS;
}

#endif
