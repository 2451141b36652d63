/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread works on. Where a runtime switches between requests, that is not the thread itself but
 * what the runtime runs on it: the runtime's own memory tells (current_task.h).
 */
#ifndef OTEL_EBPF_TASK_H
#define OTEL_EBPF_TASK_H

#include "../include/compat.h"
#include "../include/kernel.h"
#include "../include/wire.h"
#include "user_memory.h"

enum task_kind {
	TASK_THREAD = 0, /* by its id */
	TASK_RUNTIME = 1, /* by what the runtime has for an id. Go: the address of its struct g; proxies: the
			   * number of the socket by which they ask; Node: the thread, and the async id */
	TASK_GO_CLIENT = 2, /* by the address of a net/http.persistConn: who has it for now */
	TASK_CONNECTION = 3, /* CPython: what serves a connection, by when its context was made */
};

struct task {
	__u32 process; /* tgid in the initial namespace */
	__u32 kind; /* enum task_kind */
	__u64 id;
};

/* Written by user space, when it has looked at a process, and by the first probe that a process hits; copied
 * by fork; deleted by exec and exit. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid in the initial namespace */
	__type(value, struct runtime_control);
} runtimes SEC(".maps");

/* Written by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct runtime_control);
} runtime_files SEC(".maps");

/* The probe's cookie: the number of its file, and below it the probe's address there. */
#define COOKIE_ADDRESS_BITS 48

/* The first probe of a process of which user space has not heard tells what it runs. */
static __noinline int note_runtime(struct pt_regs *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 cookie = ATTACH_COOKIE(ctx);
	__u64 address = cookie & ((1ULL << COOKIE_ADDRESS_BITS) - 1); /* 0 at the return of a function */
	__u32 number = cookie >> COOKIE_ADDRESS_BITS;
	const struct runtime_control *file = bpf_map_lookup_elem(&runtime_files, &number);
	struct runtime_control fresh;

	if (!address || !file || file->kind == RUNTIME_NONE)
		return 0;
	fresh = *file;
	fresh.moved = INSTRUCTION(ctx) - address;
	bpf_map_update_elem(&runtimes, &tgid, &fresh, BPF_NOEXIST);
	return 0;
}

/* The runtime of the current process, which pays for the hook that asks; NULL: it cannot be told. */
static __always_inline struct runtime_control *hit_runtime(struct pt_regs *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &tgid);

	if (!runtime) {
		note_runtime(ctx);
		runtime = bpf_map_lookup_elem(&runtimes, &tgid);
	}
	if (runtime)
		__sync_fetch_and_add(&runtime->hits, 1);
	return runtime;
}

#endif
