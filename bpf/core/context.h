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

#endif
