// SPDX-License-Identifier: Apache-2.0
/*
 * For trying out whether sockets in a map of sockets behave here as all others do
 * (otel_ebpf/kernel/sockmap_trial.py): writes as inject.bpf.c does, into what user space sends itself.
 */
#include "../include/kernel.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* Inserted and deleted by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, __u64);
} trial_sockets SEC(".maps");

/* Eight characters behind the first sixteen of what begins like a request. */
SEC("?sk_msg")
int write_trial(struct sk_msg_md *message)
{
	__u8 *data;

	if (message->size < 24 || bpf_msg_pull_data(message, 0, 24, 0))
		return SK_PASS;
	data = message->data;
	if ((void *)(data + 24) > message->data_end || data[0] != 'G')
		return SK_PASS;
	if (bpf_msg_push_data(message, 16, 8, 0) || bpf_msg_pull_data(message, 16, 24, 0))
		return SK_DROP;
	data = message->data;
	if ((void *)(data + 8) > message->data_end)
		return SK_DROP;
	__builtin_memcpy(data, "x: try\r\n", 8);
	return SK_PASS;
}
