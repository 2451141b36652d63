// SPDX-License-Identifier: Apache-2.0
/*
 * Where Node.js begins to run an async id, and gives one to an object of its own; where V8 runs callbacks of
 * promises, and async functions wait and go on.
 *
 * Only at entries, at return instructions, and where a function is about to return.
 */
#include "../core/generators_node.h"
#include "../core/serving_node.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* Each register is read by itself: the verifier allows no computed place in what a probe is given. */
static __always_inline __u64 kept(struct pt_regs *ctx, __u32 which)
{
	__u64 value = 0;

#if defined(__TARGET_ARCH_x86)
#define KEEP(number, field) \
	if (which == number) \
		value = (ctx)->field; \
	OPAQUE(value)
	KEEP(KEPT_BX, bx);
	KEEP(KEPT_12, r12);
	KEEP(KEPT_13, r13);
	KEEP(KEPT_14, r14);
	KEEP(KEPT_15, r15);
#endif
	return value;
}

static __always_inline struct runtime_control *hit_node(struct pt_regs *ctx)
{
	struct runtime_control *runtime = hit_runtime(ctx);

	return runtime && runtime->kind == RUNTIME_NODE ? runtime : NULL;
}

/* node::AsyncHooks::push_async_context, when it is about to return. */
SEC("?uprobe")
int node_pushed(struct pt_regs *ctx)
{
	struct runtime_control *node = hit_node(ctx);
	struct async_ids inner, outer;
	struct node_thread *thread;
	__u64 hooks;

	if (!node)
		return 0;
	hooks = kept(ctx, node->node.pushed);
	if (!read_ids(hooks, &inner) || !read_outer(hooks, &inner, &outer))
		return 0;
	thread = known_thread(hooks, &inner);
	if (!thread)
		return 0;
	account_for(thread, &outer);
	take_received(&inner);
	go_on(thread, &inner);
	thread->outer = outer.running;
	return 0;
}

static __always_inline bool carries(const struct node_places *node, __u32 kind)
{
	__u64 word = kind < 64 ? node->carriers[0] : node->carriers[1];

	return kind < 128 && word >> (kind & 63) & 1;
}

/* node::AsyncWrap::AsyncReset: an object of Node's own gets an id, its first or another one. What lives for
 * longer than a request, as sockets do, works for nobody, and is lent. */
SEC("?uprobe")
int node_reset(struct pt_regs *ctx)
{
	struct runtime_control *node = hit_node(ctx);
	struct node_thread *thread = this_node_thread();
	struct async_ids ids;
	__u64 wrap = ARGUMENT1(ctx), before;
	__u32 kind = 0;

	if (!node || !thread || !enter(&ids))
		return 0;
	go_on(thread, &ids);
	bpf_probe_read_user(&kind, sizeof(kind), (void *)(wrap + node->node.provider));
	before = whole_number(user_word(wrap + node->node.provider + 8));
	thread->counted = ids.counter + 1;
	if (carries(&node->node, kind)) {
		if (thread->current.socket)
			give(ids.counter + 1, &thread->current,
			     ids.running ? SERVED_INHERITED : SERVED_OUTSIDE, 0);
	} else if (before) {
		give(before, &thread->current, SERVED_GIVEN, 0);
	}
	return 0;
}

/* v8::internal::MicrotaskQueue::RunMicrotasks; and where an async function has run until it waits again. */
SEC("?uprobe")
int node_leaves(struct pt_regs *ctx)
{
	struct node_thread *thread = this_node_thread();
	struct async_ids ids;

	if (hit_node(ctx) && thread && enter(&ids))
		leave(thread, &ids);
	return 0;
}

/* V8's builtins AsyncFunctionAwaitCaught and AsyncFunctionAwaitUncaught. */
SEC("?uprobe")
int node_awaits(struct pt_regs *ctx)
{
	struct generator generator = { bpf_get_current_pid_tgid(), RESULT(ctx) };
	struct node_thread *thread = this_node_thread();
	struct async_ids ids;

	if (!hit_node(ctx) || !thread)
		return 0;
	if (enter(&ids))
		go_on(thread, &ids);
	thread->current.since = thread->collections;
	if (thread->current.socket)
		bpf_map_update_elem(&waiting, &generator, &thread->current, BPF_ANY);
	else
		bpf_map_delete_elem(&waiting, &generator);
	return 0;
}

/* V8's builtins AsyncFunctionAwaitResolveClosure and AsyncFunctionAwaitRejectClosure. */
SEC("?uprobe")
int node_resumes(struct pt_regs *ctx)
{
	struct generator generator = { bpf_get_current_pid_tgid(),
				       user_word(ARGUMENT2(ctx) + CONTEXT_EXTENSION) };
	struct node_thread *thread = this_node_thread();
	struct served *served;
	struct async_ids ids;

	if (!hit_node(ctx) || !thread || !enter(&ids))
		return 0;
	served = bpf_map_lookup_elem(&waiting, &generator);
	if (!ids.running)
		forget(0);
	if (served && !ids.running && served->since == thread->collections)
		give(0, served, SERVED_OUTSIDE, 0);
	go_on(thread, &ids);
	bpf_map_delete_elem(&waiting, &generator);
	return 0;
}

/* v8::internal::ScavengerCollector::CollectGarbage, when it returns, and MarkCompactCollector's
 * ReleaseEvacuationCandidates, before it unmaps anything: where an object was stands where it is now. */
SEC("?uprobe")
int node_collected(struct pt_regs *ctx)
{
	struct node_thread *thread = this_node_thread();

	if (hit_node(ctx) && thread)
		follow_all_moved(thread);
	return 0;
}
