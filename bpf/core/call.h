/* SPDX-License-Identifier: Apache-2.0 */
/* The one call to send or receive that a hook is looking at. */
#ifndef OTEL_EBPF_CALL_H
#define OTEL_EBPF_CALL_H

#include "io.h"

struct call {
	struct io io; /* where the call's bytes stand: here and not on the stack, so that the verifier
		       * does not tell the ways of finding them apart all the way down */
	__u32 thread; /* who called */
	__u32 reserved;
	struct trace_context context; /* while a traceparent is read */
	struct piece_record piece;
	__u8 data[PIECE_CAPTURE_MAX * 2 + 128];
};

/* One for each CPU and for each direction of the call, whose hooks do not nest. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct call);
} calls SEC(".maps");

static __always_inline struct call *this_call(__u32 sending)
{
	return bpf_map_lookup_elem(&calls, &sending);
}

#endif
