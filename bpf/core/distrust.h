/* SPDX-License-Identifier: Apache-2.0 */
/* Processes whose requests are counted, and what makes the count worth nothing: see serving_process.h. */
#ifndef OTEL_EBPF_DISTRUST_H
#define OTEL_EBPF_DISTRUST_H

#include "task.h"

static __always_inline struct runtime_control *counted_process(__u32 process)
{
	struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &process);

	return runtime && runtime->kind == RUNTIME_JAVA ? runtime : NULL;
}

/* Whether threads of a process say nothing of those that they start. Where its requests are counted, that tells
 * more; CRuby has its threads run by those of the kernel's that another of its own has left. */
static __always_inline bool hides_started(__u32 process)
{
	struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &process);

	return runtime && (runtime->kind == RUNTIME_JAVA || runtime->kind == RUNTIME_RUBY);
}

/* Requests of the process pass unseen, or may have. Global, so that the verifier walks it once. */
__noinline int distrust(__u32 process)
{
	struct runtime_control *runtime = counted_process(process);

	if (runtime)
		__sync_fetch_and_add(&runtime->requests.begun, 1);
	return 0;
}

#endif
