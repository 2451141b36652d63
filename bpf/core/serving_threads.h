/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that a thread starts while it serves a request.
 *
 * Some work for that request and end. Those of a pool look the same and go on to serve others. So what such a
 * thread asks is a child of the request only in a process of which so many of them have asked and ended, and
 * none has asked after its request was answered.
 */
#ifndef OTEL_EBPF_SERVING_THREADS_H
#define OTEL_EBPF_SERVING_THREADS_H

#include "serving.h"

#define STARTED_EARNED 16
#define STARTED_NEVER (~0U)

/* How many have asked and ended. Inserted where the first has asked; deleted by exec and exit. LRU: nothing is
 * told of a process that is forgotten, until it has earned that anew. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid in the initial namespace */
	__type(value, __u32);
} started SEC(".maps");

/* A thread makes another. */
static __always_inline void note_started(__u32 maker, __u32 process, __u32 made)
{
	struct task task = { .process = process, .kind = TASK_THREAD, .id = maker };
	struct served *known = bpf_map_lookup_elem(&serving, &task), copy;

	if (!follow_started || !known || known->several || !open_exchange(known) || hides_started(process))
		return;
	copy = *known;
	copy.how = SERVED_STARTED;
	copy.since = 0;
	task.id = made;
	bpf_map_update_elem(&serving, &task, &copy, BPF_ANY);
}

/* The socket of the request that a thread works on when it asks others, else why none is known. */
static __always_inline __u64 thread_serves(const struct task *thread)
{
	struct served *served = bpf_map_lookup_elem(&serving, thread);
	__u64 found = socket_or_reason(served);
	__u32 count = found == CONTEXT_ANSWERED ? STARTED_NEVER : 0, *earned;

	if (!served || served->how != SERVED_STARTED)
		return found;
	served->since = 1;
	earned = bpf_map_lookup_elem(&started, &thread->process);
	if (!earned)
		bpf_map_update_elem(&started, &thread->process, &count, BPF_NOEXIST);
	else if (count)
		*earned = count;
	return count || (earned && *earned == STARTED_EARNED) ? found : CONTEXT_AMBIGUOUS;
}

/* A thread ends. */
static __always_inline void note_ended(const struct task *thread)
{
	const struct served *served = bpf_map_lookup_elem(&serving, thread);
	__u32 *earned;

	if (!served)
		return;
	if (served->how == SERVED_STARTED && served->since) {
		earned = bpf_map_lookup_elem(&started, &thread->process);
		if (earned && *earned < STARTED_EARNED)
			++*earned;
	}
	bpf_map_delete_elem(&serving, thread);
}

#endif
