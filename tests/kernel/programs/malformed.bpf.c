// SPDX-License-Identifier: Apache-2.0
/* Writes into the ring buffer what no reader of this version knows: run by the test of the reader. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} records SEC(".maps");

SEC("?raw_tp")
int write_garbage(void *ctx)
{
	static const char garbage[24] = "not a record of any kind";

	bpf_ringbuf_output(&records, (void *)garbage, sizeof(garbage), 0);
	return 0;
}
