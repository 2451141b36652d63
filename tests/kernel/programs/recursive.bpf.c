// SPDX-License-Identifier: Apache-2.0
/* A program that makes its own hook fire again: a page fault of the kernel, amid one. */
#include "../../../bpf/core/settings.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* [0]: whether a run is under way; [1]: runs that began amid another. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} runs SEC(".maps");

SEC("?raw_tp/page_fault_kernel")
int faults_again(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 zero = 0, one = 1;
	__u64 *under_way = bpf_map_lookup_elem(&runs, &zero), *again = bpf_map_lookup_elem(&runs, &one), word;

	if (!under_way || !again)
		return 0;
	if (*under_way) { /* before 6.2 the kernel runs it again: then it must end here */
		__sync_fetch_and_add(again, 1);
		return 0;
	}
	*under_way = 1;
	bpf_probe_read_user(&word, sizeof(word), (void *)4096);
	*under_way = 0;
	return 0;
}
