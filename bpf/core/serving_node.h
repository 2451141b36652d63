/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which request an async id of Node.js works on: ids that were handed out between two hooks are of who ran
 * meanwhile. A hook enters, with which that is accounted for, and goes on with who runs from then on.
 */
#ifndef OTEL_EBPF_SERVING_NODE_H
#define OTEL_EBPF_SERVING_NODE_H

#include "task_node.h"

#define IDS_AT_ONCE 32 /* of those handed out between two hooks, the last so many are known */

/* Whatever is known, if it is open still. */
static __always_inline void copy_open(struct served *to, const struct served *from)
{
	struct served none = {};

	*to = from && from->socket && open_exchange(from) ? *from : none;
}

static __always_inline bool same_request(const struct served *one, const struct served *other)
{
	return one->socket == other->socket && one->connection == other->connection &&
	       one->offset == other->offset;
}

static __always_inline void give(__u64 id, const struct served *what, __u32 how, __u64 since)
{
	struct task task = node_task(id);
	struct served copy = *what;

	copy.how = how;
	copy.since = since;
	bpf_map_update_elem(&serving, &task, &copy, BPF_ANY);
}

static __always_inline void forget(__u64 id)
{
	struct task task = node_task(id);

	bpf_map_delete_elem(&serving, &task);
}

/* Whether JavaScript has gone over to something older by itself, at a moment that is not known. */
static __always_inline bool has_switched(const struct node_thread *thread, const struct async_ids *ids)
{
	const struct served *now;

	if (!ids->running || ids->running > thread->counted || ids->running == thread->running ||
	    ids->running == thread->outer)
		return false;
	now = served_by_running(ids->running, ids->trigger);
	return !now || !same_request(now, &thread->current);
}

/* Ids since the last hook are of what ran then. Where another runs now, they may be its own; but not those
 * whose trigger is what was made last. */
static __noinline int give_ids(struct node_thread *thread, const struct async_ids *ids)
{
	__u32 how = thread->running ? SERVED_INHERITED : SERVED_OUTSIDE;
	__u64 id = thread->counted, since = id;
	struct served what = thread->current;

	if (!what.socket)
		return 0;
	if (has_switched(thread, ids))
		how = SERVED_UNSURE;
	if (ids->counter - id > IDS_AT_ONCE)
		id = ids->counter - IDS_AT_ONCE;
	for (int i = 0; i < IDS_AT_ONCE; i++) {
		if (id >= ids->counter)
			break;
		id++;
		give(id, &what, how, since);
	}
	return 0;
}

/* A hook begins: who ran until now is known by `ids`. */
static __always_inline void account_for(struct node_thread *thread, const struct async_ids *ids)
{
	struct served *own, *made;

	if (ids->counter > thread->counted)
		give_ids(thread, ids);
	thread->counted = ids->counter;
	own = served_by_id(ids->running);
	if (!ids->running || (own && own->how == SERVED_RECEIVED))
		return;
	made = served_by_running(ids->running, ids->trigger);
	if (made && made != own)
		give(ids->running, made, SERVED_INHERITED, 0);
	else if (!made && own)
		forget(ids->running);
}

/* A hook ends: `ids` run from now on. */
static __always_inline void go_on(struct node_thread *thread, const struct async_ids *ids)
{
	if (thread->running != ids->running)
		thread->outer = 0;
	thread->running = ids->running;
	copy_open(&thread->current, served_by_running(ids->running, ids->trigger));
}

/* The thread, and what runs on it, which is accounted for; NULL where that is not known. */
static __noinline int enter(struct async_ids *ids)
{
	struct node_thread *thread = this_node_thread();

	if (!thread)
		return 0;
	if (!read_ids(thread->hooks, ids)) {
		thread->current.socket = 0;
		return 0;
	}
	account_for(thread, ids);
	return 1;
}

/* The thread by its AsyncHooks; a new one begins with the ids that there are. */
static __always_inline struct node_thread *known_thread(__u64 hooks, const struct async_ids *ids)
{
	struct node_thread *thread = this_node_thread(), fresh = { .hooks = hooks, .counted = ids->counter };
	__u64 both = bpf_get_current_pid_tgid();

	if (thread && thread->hooks == hooks)
		return thread;
	bpf_map_update_elem(&node_threads, &both, &fresh, BPF_ANY);
	return this_node_thread();
}

/* Who ran until a scope was entered, from the stack. */
static __always_inline bool read_outer(__u64 hooks, const struct async_ids *inner, struct async_ids *outer)
{
	__u64 pair[2] = {}, stack = user_word(hooks + HOOKS_STACK), fields = user_word(hooks + HOOKS_FIELDS);
	__u32 depth = 0;

	bpf_probe_read_user(&depth, sizeof(depth), (void *)(fields + FIELD_DEPTH * sizeof(depth)));
	if (!depth || bpf_probe_read_user(pair, sizeof(pair), (void *)(stack + (depth - 1) * sizeof(pair))))
		return false;
	outer->running = whole_number(pair[0]);
	outer->trigger = whole_number(pair[1]);
	outer->counter = inner->counter;
	return outer->running <= outer->counter && outer->trigger <= outer->counter;
}

/* A request that was received a moment ago is of the scope that is entered next, once its head is whole:
 * without, nobody is called. Of several that were sent at once, it is not known which one is. */
static __always_inline void take_received(const struct async_ids *inner)
{
	struct served *pending = served_by_id(0), copy;
	const struct connection *conn;

	if (!pending || pending->how != SERVED_PENDING)
		return;
	copy = *pending;
	forget(0);
	conn = open_exchange(&copy);
	if (inner->running && conn && conn->mode == MODE_EXCHANGE && conn->request.state == HEAD_DONE)
		give(inner->running, &copy, SERVED_RECEIVED, inner->counter);
}

/* Under id 0 nobody is known to run from now on. */
static __always_inline void leave(struct node_thread *thread, const struct async_ids *ids)
{
	if (!ids->running)
		forget(0);
	go_on(thread, ids);
}

#endif
