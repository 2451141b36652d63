/* SPDX-License-Identifier: Apache-2.0 */
/* Which request the current task works on when it asks others, or why that is not known. */
#ifndef OTEL_EBPF_SERVED_SOCKET_H
#define OTEL_EBPF_SERVED_SOCKET_H

#include "current_task.h"
#include "serving.h"
#include "serving_process.h"
#include "serving_python.h"
#include "serving_threads.h"

/*
 * The socket by which the request has come that the current task serves; where there is none, the source of a
 * context that has no parent, which is no socket's address. `sending` is the socket by which it asks. Global, so
 * that the verifier walks it once.
 */
__noinline __u64 served_socket(__u64 sending)
{
	struct task task = current_thread();
	__u64 id = runtime_task(sending), found = CONTEXT_ROOT, by_thread;

	if (id == BY_CONTEXT) {
		found = python_serves(sending);
	} else if (id > BY_PROCESS) {
		task.kind = TASK_RUNTIME;
		task.id = id;
		found = socket_or_reason(bpf_map_lookup_elem(&serving, &task));
	}
	if (found > CONTEXT_AMBIGUOUS)
		return found;
	task = current_thread();
	by_thread = thread_serves(&task);
	if (by_thread != CONTEXT_ROOT)
		return by_thread;
	return id == BY_PROCESS ? process_serves() : found;
}

#endif
