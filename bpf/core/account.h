/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: every early return that gives something up counts here, by reason. */
#ifndef OTEL_EBPF_ACCOUNT_H
#define OTEL_EBPF_ACCOUNT_H

#include "settings.h"
#include "../include/ledger.h"

/* Incremented by every hook; read, never written, by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEDGER_SIZE);
	__type(key, __u32);
	__type(value, __u64);
} ledger SEC(".maps");

/* Atomic although per CPU: TCP's state changes in a softirq that may interrupt any other hook in
 * the middle of its increment. */
static __always_inline void account(__u32 entry)
{
	__u64 *counter = bpf_map_lookup_elem(&ledger, &entry);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

#endif
