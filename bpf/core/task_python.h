/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPython: what a thread runs is told by its current context (PEP 567), of which event loops give each task,
 * and each callback, one of its own.
 */
#ifndef OTEL_EBPF_TASK_PYTHON_H
#define OTEL_EBPF_TASK_PYTHON_H

#include "task.h"
#include "user_memory.h"

#define PYTHON_OBJECT_TYPE 8 /* PyObject.ob_type */
#define PYTHON_THREAD_NEXT 8 /* PyThreadState.next */
#define PYTHON_THREADS_MAX 128

/* Where the interpreter keeps what it knows of a thread. Inserted at a thread's first hook; checked at each
 * use, as it may be another thread's by then. LRU: threads end unseen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct task);
	__type(value, __u64);
} python_threads SEC(".maps");

static __always_inline __u64 thread_pointer(void)
{
	struct task_struct *thread = (struct task_struct *)bpf_get_current_task();

	return THREAD_POINTER(thread);
}

static __always_inline struct task python_thread(void)
{
	__u64 both = bpf_get_current_pid_tgid();

	return (struct task){ .process = both >> 32, .kind = TASK_THREAD, .id = (__u32)both };
}

/* The current thread's PyThreadState, by the interpreter's list; 0 where it is not in it. Global, so that the
 * verifier walks it once. As with all that may be called from here on, its stack is counted in bytes. */
__noinline __u64 find_python_thread(void)
{
	__u64 pointer = thread_pointer(), state, found;
	struct task thread = python_thread();
	const struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &thread.process);

	if (!runtime || runtime->kind != RUNTIME_PYTHON)
		return 0;
	state = user_word(runtime->moved + runtime->python.interpreter);
	state = user_word(state + runtime->python.threads);
	for (int i = 0; i < PYTHON_THREADS_MAX && state; i++) {
		if (user_word(state + runtime->python.thread_id) == pointer) {
			found = state;
			bpf_map_update_elem(&python_threads, &thread, &found, BPF_ANY);
			return state;
		}
		state = user_word(state + PYTHON_THREAD_NEXT);
	}
	return 0;
}

/* The address of the current thread's context; 0 where it has none, or what is there is none: then the offsets
 * are not this interpreter's. */
static __always_inline __u64 current_context(const struct runtime_control *runtime, const struct task *thread)
{
	__u64 *known = bpf_map_lookup_elem(&python_threads, thread), state = known ? *known : 0, context;

	if (!state || user_word(state + runtime->python.thread_id) != thread_pointer())
		state = find_python_thread();
	if (!state)
		return 0;
	context = user_word(state + runtime->python.context);
	if (user_word(context + PYTHON_OBJECT_TYPE) != runtime->moved + runtime->python.context_type)
		return 0;
	return context;
}

#endif
