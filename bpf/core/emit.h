/* SPDX-License-Identifier: Apache-2.0 */
/* The ring buffer: the one way from here to user space. */
#ifndef OTEL_EBPF_EMIT_H
#define OTEL_EBPF_EMIT_H

#include "connection.h"

/* Written by every hook, read by user space by mmap. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20); /* capture.ring_bytes */
} records SEC(".maps");

/* The kernel wakes the reader only when it had caught up, so a busy reader costs no wakeups. */
static __always_inline bool emit(const void *record, __u32 size, __u32 passed, __u32 dropped)
{
	if (bpf_ringbuf_output(&records, (void *)record, size, 0)) {
		account(dropped);
		return false;
	}
	account(passed);
	return true;
}

/* For a connection's records: what is lost is said in the next one that arrives. */
static __always_inline void emit_for(struct connection *conn, const void *record, __u32 size, __u32 passed,
				     __u32 dropped)
{
	if (emit(record, size, passed, dropped))
		conn->record.header.lost = 0;
	else
		conn->record.header.lost++;
}

#endif
