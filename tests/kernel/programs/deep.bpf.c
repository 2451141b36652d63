// SPDX-License-Identifier: Apache-2.0
/* Three functions that take 40, 100 and 480 bytes of the stack, of which the last is tail called from. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Of the array all is kept, as its address is asked for. */
#define TAKEN(size) \
	volatile char taken[size]; \
	asm volatile("" ::"r"(taken) : "memory"); \
	taken[0] = 1

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

static __attribute__((noinline)) int lowest(void *ctx)
{
	TAKEN(480);
	bpf_tail_call(ctx, &programs, 0);
	return taken[0];
}

__attribute__((noinline)) int middle(struct bpf_raw_tracepoint_args *ctx)
{
	TAKEN(100);
	return lowest(ctx) + taken[0];
}

SEC("raw_tp/sys_enter")
int first(struct bpf_raw_tracepoint_args *ctx)
{
	TAKEN(40);
	return middle(ctx) + taken[0];
}
