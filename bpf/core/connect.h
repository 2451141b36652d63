/* SPDX-License-Identifier: Apache-2.0 */
/* When connections were made, kept until the first of their bytes is seen. */
#ifndef OTEL_EBPF_CONNECT_H
#define OTEL_EBPF_CONNECT_H

#include "account.h"

struct connect {
	__u64 start; /* time of the call */
	__u64 end; /* time at which the connection was there; 0: it is not yet */
	__u32 retransmits; /* of its SYN */
	__u32 reserved;
};

/* Inserted by tcp_state's hook when a process connects; read and deleted at the connection's first byte;
 * deleted by that hook too when the socket is destroyed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* capture.connections */
	__type(key, __u64); /* the address of the struct sock */
	__type(value, struct connect);
} connects SEC(".maps");

/* A socket that tries again begins anew. */
static __always_inline void keep_connect(__u64 sk)
{
	struct connect connect = { .start = bpf_ktime_get_boot_ns() };

	if (bpf_map_update_elem(&connects, &sk, &connect, BPF_ANY))
		account(LEDGER_CONNECTS_FULL);
}

static __always_inline void end_connect(struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u64 key = (__u64)sk;
	struct connect *connect = network_part ? bpf_map_lookup_elem(&connects, &key) : NULL;

	if (!connect)
		return;
	connect->end = bpf_ktime_get_boot_ns();
	connect->retransmits = BPF_CORE_READ(tp, total_retrans);
}

static __always_inline void take_connect(struct connect *taken, __u64 sk)
{
	struct connect *connect = bpf_map_lookup_elem(&connects, &sk);

	if (!connect)
		return;
	*taken = *connect;
	bpf_map_delete_elem(&connects, &sk);
}

static __always_inline void forget_connect(__u64 sk)
{
	if (network_part)
		bpf_map_delete_elem(&connects, &sk);
}

#endif
