/* SPDX-License-Identifier: Apache-2.0 */
/* Async functions of Node.js that wait, by their generators, of which V8's collector moves some. */
#ifndef OTEL_EBPF_GENERATORS_NODE_H
#define OTEL_EBPF_GENERATORS_NODE_H

#include "task_node.h"

#define TAG 1 /* of V8's pointers */
#define CONTEXT_EXTENSION 0x1f /* offset in a tagged Context, of Node.js 20 and 22 */

struct generator {
	__u64 thread; /* tgid and thread */
	__u64 address; /* tagged */
};

/* What async functions that wait work for. Inserted where they begin to, moved by the collector, deleted
 * where they go on. LRU: those that never do. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct generator);
	__type(value, struct served);
} waiting SEC(".maps");

#ifdef BASELINE
#define follow_all_moved(thread) ((thread)->collections++)
#else /* bpf_for_each_map_elem: 5.13 (69c087ba6225) */
struct bpf_map;

static long follow_moved(struct bpf_map *map, const struct generator *key, const struct served *value,
			 const __u64 *thread)
{
	struct generator moved = *key, old = *key;
	struct served copy = *value;
	__u64 word;

	if (key->thread != *thread)
		return 0;
	word = user_word(key->address - TAG);
	if (word & 3)
		return 0; /* its map: it is where it was */
	bpf_map_delete_elem(map, &old);
	moved.address = word + TAG;
	if (word)
		bpf_map_update_elem(map, &moved, &copy, BPF_ANY);
	return 0;
}

static __always_inline void follow_all_moved(struct node_thread *thread)
{
	__u64 both = bpf_get_current_pid_tgid();

	bpf_for_each_map_elem(&waiting, follow_moved, &both, 0);
}
#endif

#endif
