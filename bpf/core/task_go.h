/* SPDX-License-Identifier: Apache-2.0 */
/* Goroutines: the runtime's struct g, whose place a thread keeps below its thread pointer. */
#ifndef OTEL_EBPF_TASK_GO_H
#define OTEL_EBPF_TASK_GO_H

#include "task.h"
#include "user_memory.h"

#define GO_G_M 0x30 /* g.m of Go 1.18 to 1.27: the machine that runs it */

/* The goroutine that a g's machine runs: the g itself, or, of a machine's own stack (g0), the one for
 * which it works. 0 where the offset is not this program's, as what it leads to does not lead back. */
static __always_inline __u64 running_goroutine(const struct runtime_control *go, __u64 g)
{
	__u64 machine = user_word(g + GO_G_M);
	__u64 running = user_word(machine + go->go.current);

	return running && user_word(running + GO_G_M) == machine ? running : 0;
}

/* 0 where C code, or the runtime itself, runs. */
static __always_inline __u64 current_goroutine(const struct runtime_control *go)
{
	struct task_struct *thread = (struct task_struct *)bpf_get_current_task();
	__u64 g = user_word(THREAD_POINTER(thread) - go->go.below);

	return g && running_goroutine(go, g) == g ? g : 0;
}

#endif
