/* SPDX-License-Identifier: Apache-2.0 */
/* The one call to send or receive that a hook is looking at. */
#ifndef OTEL_EBPF_CALL_H
#define OTEL_EBPF_CALL_H

#include "io.h"
#include "tls_call.h"

struct call {
	struct io io; /* where the call's bytes stand: here and not on the stack, so that the verifier
		       * does not tell the ways of finding them apart all the way down */
	__u32 thread; /* who called */
	__u32 reserved;
	__u64 now; /* time of the bytes, where their hook knows better than the clock */
	struct tls_call tls; /* while plaintext is taken */
	struct piece_record piece;
	__u8 data[PIECE_CAPTURE_MAX * 2 + 128];
};

#if defined(PREEMPTIBLE) && !defined(BASELINE)
/*
 * Uprobes may be preempted, and resume when another has run on their CPU: what they work on is theirs by
 * a lock. Before 5.19 they could not be (8c7dcb84e3b7).
 */
#define SLOTS 32

struct slot {
	struct call call; /* first: then the verifier sees no sum before the check for NULL */
	__u64 owner; /* the thread that has it; 0: it is free */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

static __always_inline struct call *this_call(__u32 index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

/* The first slot from this CPU's on whose owner is `owner`, and is `next` from then on. */
static __always_inline bool pass_slot(__u32 *index, __u64 owner, __u64 next)
{
	__u32 start = bpf_get_smp_processor_id();

	for (int i = 0; i < SLOTS; i++) {
		struct slot *slot;

		*index = (start + i) % SLOTS;
		slot = bpf_map_lookup_elem(&slots, index);
		if (slot && COMPARE_AND_SWAP(&slot->owner, owner, next) == owner)
			return true;
	}
	account(LEDGER_EVENT_CONTENDED);
	return false;
}

static __always_inline bool take_slot(__u32 *index)
{
	return pass_slot(index, 0, bpf_get_current_pid_tgid());
}

/* The slot that this thread has taken already. */
static __always_inline bool find_slot(__u32 *index)
{
	return pass_slot(index, bpf_get_current_pid_tgid(), bpf_get_current_pid_tgid());
}

static __always_inline void give_slot(__u32 index)
{
	struct slot *slot = bpf_map_lookup_elem(&slots, &index);

	asm volatile("" ::: "memory");
	if (slot)
		*(volatile __u64 *)&slot->owner = 0;
}
#else
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

static __always_inline bool take_slot(__u32 *index)
{
	*index = 0;
	return true;
}

static __always_inline bool find_slot(__u32 *index)
{
	return take_slot(index);
}

static __always_inline void give_slot(__u32 index)
{
}
#endif

#endif
