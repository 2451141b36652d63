/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to look up names that are in progress: lookup.h makes and ends them, dns_message.h asks whether one is. */
#ifndef OTEL_EBPF_LOOKUP_CALLS_H
#define OTEL_EBPF_LOOKUP_CALLS_H

#include "../include/kernel.h"
#include "../include/wire.h"

/* One call in progress. */
struct lookup {
	__u64 begun; /* time */
	__u64 stack; /* the pointer at the entry: that of a call within is lower */
	__u64 asked; /* where the name is, or the address */
	__u64 answer; /* where the pointer to the answers goes; 0: none are wanted */
	__u64 error; /* where h_errno goes; 0: the call returns what went wrong */
	__u8 call; /* enum lookup_call */
	__u8 family; /* of an address that is asked for */
	__u8 numeric; /* there is nothing to look up */
	__u8 again; /* the caller had too little room, and is to call again */
	__u32 reserved;
	struct trace_context context;
};

/* Inserted at a call's entry, deleted at its return, read by both and by the hooks for packets. LRU, as not every call returns: a thread that is
 * ended in one leaves its entry behind. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* thread */
	__type(value, struct lookup);
} lookups SEC(".maps");

#define ABANDONED_AFTER 600000000000ULL /* ns; resolvers give up after tens of seconds */

/* Whether the thread is in such a call: what it sends and receives is part of that. */
static __always_inline bool is_looking_up(__u64 thread, __u64 now)
{
	const struct lookup *lookup = bpf_map_lookup_elem(&lookups, &thread);

	return lookup && !lookup->again && now - lookup->begun < ABANDONED_AFTER;
}

#endif
