/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The task that the current thread works on. Another runtime is another case of `runtime_task`, and an
 * object of its own with its probes.
 *
 * Budget: 0.1 us a request where the process's runtime is known, one look-up where it is not.
 */
#ifndef OTEL_EBPF_CURRENT_TASK_H
#define OTEL_EBPF_CURRENT_TASK_H

#include "task_go.h"
#include "task_node.h"
#include "task_python.h"
#include "task_socket.h"

#define BY_CONTEXT 1 /* CPython: serving_python.h tells */
#define BY_PROCESS 2 /* JVMs: serving_process.h */

/*
 * The id of what the runtime runs on this thread; 0 where there is none, or nothing that is known. `sending` is
 * the socket by which it asks; 0: it receives a request, and the id is of what gets that. Global, so that the
 * verifier walks it once.
 */
__noinline __u64 runtime_task(__u64 sending)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	const struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &tgid);

	if (!runtime)
		return 0;
	switch (runtime->kind) {
	case RUNTIME_GO:
		return current_goroutine(runtime);
	case RUNTIME_NGINX:
	case RUNTIME_HAPROXY:
		return sending ? asking_socket(sending) : 0;
	case RUNTIME_NODE:
		return sending ? current_async() : receiving_async();
	case RUNTIME_PYTHON:
		return BY_CONTEXT;
	case RUNTIME_JAVA:
		return BY_PROCESS;
	}
	return 0;
}

static __always_inline struct task current_thread(void)
{
	__u64 both = bpf_get_current_pid_tgid();

	return (struct task){ .process = both >> 32, .kind = TASK_THREAD, .id = (__u32)both };
}

#endif
