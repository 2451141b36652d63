/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node.js: what runs has an id, the async id, and knows its trigger's: who made it, where nothing else was
 * named. Both stand in memory, where JavaScript keeps them up to date, so they are read and not followed.
 *
 * What an id serves is learned where ids are handed out, which is told by their counter, and where Node
 * begins to run one (probes/node_runtime.bpf.c). Id 0 is nobody's: promises' callbacks run under it.
 */
#ifndef OTEL_EBPF_TASK_NODE_H
#define OTEL_EBPF_TASK_NODE_H

#include "serving.h"

/* src/env.h of Node.js 20 and 22, struct AsyncHooks: three AliasedBuffers, each with its address inside. */
#define HOOKS_STACK 0x28 /* pairs of ids that wait for the running one to end */
#define HOOKS_FIELDS 0x60
#define HOOKS_IDS 0x98
#define FIELD_LISTENERS 0 /* hooks that JavaScript has for new ids */
#define FIELD_DEPTH 7 /* pairs on the stack */
#define NO_DEFAULT 0xbff0000000000000ULL /* -1.0 */

#define NODE_TASK (1ULL << 63)
#define NODE_ID_BITS 40

struct node_thread {
	__u64 hooks; /* address of its AsyncHooks */
	__u64 counted; /* ids up to this one have been given what they serve */
	__u64 running; /* when they were */
	__u64 outer; /* what runs again when that ends */
	__u64 collections; /* of garbage, after which those that wait are no longer known (BASELINE) */
	struct served current; /* what that works on since; socket 0: nothing that is known */
};

/* Threads that run JavaScript, each with its own ids. Inserted when they enter a scope; LRU: they end unseen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* tgid and thread */
	__type(value, struct node_thread);
} node_threads SEC(".maps");

struct async_ids {
	__u64 running;
	__u64 trigger;
	__u64 counter; /* the last one handed out */
};

static __always_inline struct node_thread *this_node_thread(void)
{
	__u64 both = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&node_threads, &both);
}

/* A double that is a whole number; 0 for others, and below 0. */
static __always_inline __u64 whole_number(__u64 bits)
{
	__u32 exponent = bits >> 52;

	if (exponent < 1023 || exponent >= 1023 + NODE_ID_BITS)
		return 0;
	return ((bits & ((1ULL << 52) - 1)) | 1ULL << 52) >> (1075 - exponent);
}

/* False where what is there are no ids, or a program listens to them: then promises' callbacks run under
 * ids of their own, whose triggers are not who made them. */
static __always_inline bool read_ids(__u64 hooks, struct async_ids *ids)
{
	__u64 raw[4] = {};
	__u32 listeners = 1;

	bpf_probe_read_user(&raw, sizeof(raw), (void *)user_word(hooks + HOOKS_IDS));
	bpf_probe_read_user(&listeners, sizeof(listeners), (void *)user_word(hooks + HOOKS_FIELDS));
	ids->running = whole_number(raw[0]);
	ids->trigger = whole_number(raw[1]);
	ids->counter = whole_number(raw[2]);
	if (listeners || !ids->counter || ids->running > ids->counter || ids->trigger > ids->counter)
		return false;
	return raw[3] == NO_DEFAULT || whole_number(raw[3]) <= ids->counter;
}

static __always_inline struct task node_task(__u64 id)
{
	__u64 both = bpf_get_current_pid_tgid();

	return (struct task){ .process = both >> 32,
			      .kind = TASK_RUNTIME,
			      .id = NODE_TASK | (__u64)(__u32)both << NODE_ID_BITS | id };
}

static __always_inline struct served *served_by_id(__u64 id)
{
	struct task task = node_task(id);

	return bpf_map_lookup_elem(&serving, &task);
}

/* What is known of the trigger, if that speaks of the time when `id` was made. */
static __always_inline struct served *served_by_trigger(__u64 trigger, __u64 id)
{
	struct served *served = trigger ? served_by_id(trigger) : NULL;

	if (!served || served->how == SERVED_UNSURE ||
	    (served->how == SERVED_RECEIVED && id <= served->since))
		return NULL;
	return served;
}

/* The entry that tells what runs; NULL for none. */
static __always_inline struct served *served_by_running(__u64 id, __u64 trigger)
{
	struct served *own = served_by_id(id), *made;

	if (!id)
		return own && own->how == SERVED_OUTSIDE ? own : NULL;
	if (own && own->how == SERVED_RECEIVED)
		return own;
	made = served_by_trigger(trigger, id);
	if (made)
		return made->socket ? made : NULL;
	if (!own || !own->socket)
		return NULL;
	if (own->how == SERVED_UNSURE)
		return own->since == trigger ? own : NULL;
	return trigger || own->how == SERVED_OUTSIDE ? own :
						       NULL; /* else made under id 0, by somebody else */
}

/* Who gets the request that is received, which is known when the next scope is entered: until then, nobody. */
static __always_inline __u64 receiving_async(void)
{
	return this_node_thread() ? node_task(0).id : 0;
}

/* 0 where nothing is known, else an id of which `serving` knows. */
static __always_inline __u64 current_async(void)
{
	struct node_thread *thread = this_node_thread();
	struct async_ids ids;
	struct served *served;

	if (!thread || !read_ids(thread->hooks, &ids))
		return 0;
	served = served_by_running(ids.running, ids.trigger);
	if (!served)
		return 0;
	return node_task(served == served_by_id(ids.running) ? ids.running : ids.trigger).id;
}

#endif
