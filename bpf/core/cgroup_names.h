/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which control groups a process is in, by name: a container's id stands there. User space reads the whole
 * path in /proc; of a process that has gone meanwhile, and perhaps its control group with it, this is all
 * there is.
 */
#ifndef OTEL_EBPF_CGROUP_NAMES_H
#define OTEL_EBPF_CGROUP_NAMES_H

#include "../include/compat.h"
#include "../include/wire.h"

#define CONTROLLERS_MAX 16 /* CGROUP_SUBSYS_COUNT is 14 at most */

static __always_inline void copy_names(char (*names)[CGROUP_NAME_MAX], struct cgroup *cgroup)
{
	for (__u32 i = 0; i < CGROUP_NAMES; i++) {
		names[i][0] = 0;
		if (!cgroup)
			continue;
		bpf_probe_read_kernel_str(names[i], CGROUP_NAME_MAX, BPF_CORE_READ(cgroup, kn, name));
		cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
	}
}

/* In version 1 each controller has its hierarchy, and container runtimes use them all: the first in which
 * the process is not at the root. In version 2 the controllers lead into the unified hierarchy. */
static __always_inline struct cgroup *controlled_cgroup(struct css_set *set, struct cgroup *unified)
{
	struct cgroup_root *root = BPF_CORE_READ(unified, root);
	__u32 count = bpf_core_field_size(set->subsys) / sizeof(void *);
	void **states = (void **)__builtin_preserve_access_index(&set->subsys);
	struct cgroup_subsys_state *state;
	struct cgroup *cgroup;

	for (__u32 i = 0; i < CONTROLLERS_MAX && i < count; i++) {
		if (bpf_probe_read_kernel(&state, sizeof(state), states + i) || !state)
			continue;
		cgroup = BPF_CORE_READ(state, cgroup);
		if (BPF_CORE_READ(cgroup, level) > 0 && BPF_CORE_READ(cgroup, root) != root)
			return cgroup;
	}
	return NULL;
}

static __always_inline void copy_cgroup_names(struct process_record *record, struct task_struct *task)
{
	struct css_set *set;
	struct cgroup *unified;

	record->unified[0][0] = record->controlled[0][0] = 0;
	if (!bpf_core_field_exists(task->cgroups)) /* a kernel without CONFIG_CGROUPS */
		return;
	set = BPF_CORE_READ(task, cgroups);
	unified = BPF_CORE_READ(set, dfl_cgrp);
	copy_names(record->unified, unified);
	copy_names(record->controlled, controlled_cgroup(set, unified));
}

#endif
