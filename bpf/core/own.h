/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own connections, seen from their other end: an OTLP receiver on this host is a service
 * like any other, and a span for each export would make the next export.
 *
 * A connection is known for the agent's from the moment its handshake is complete, so before its first
 * byte can be received: the connecting call runs in the agent, the rest in whatever context.
 */
#ifndef OTEL_EBPF_OWN_H
#define OTEL_EBPF_OWN_H

#include "settings.h"

/* tgid in the initial namespace. Written once by control's exclude_caller, read by tcp_state's hook. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} agent_process SEC(".maps");

/* Sockets of the agent that are connecting. Inserted and deleted by tcp_state's hook. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u64); /* the address of the struct sock */
	__type(value, __u8);
} own_sockets SEC(".maps");

/* The agent's connections. Inserted by tcp_state's hook, read where a connection is first seen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* record_header.connection */
	__type(value, __u8);
} own_connections SEC(".maps");

static __always_inline void note_connecting(struct sock *sk)
{
	__u32 zero = 0, tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 *agent = bpf_map_lookup_elem(&agent_process, &zero);
	__u64 key = (__u64)sk;
	__u8 one = 1;

	if (agent && *agent == tgid)
		bpf_map_update_elem(&own_sockets, &key, &one, BPF_ANY);
}

/* The first bytes' sequence numbers are settled: they are the connection's identity. */
static __always_inline void note_connected(struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u64 key = (__u64)sk, connection;
	__u8 one = 1;

	if (bpf_map_delete_elem(&own_sockets, &key))
		return;
	connection = (__u64)BPF_CORE_READ(tp, snd_una) << 32 | BPF_CORE_READ(tp, rcv_nxt);
	bpf_map_update_elem(&own_connections, &connection, &one, BPF_ANY);
}

/* Nobody answered. The next socket at this address may be anybody's. */
static __always_inline void forget_connecting(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&own_sockets, &key);
}

static __always_inline bool is_own(__u64 connection)
{
	return bpf_map_lookup_elem(&own_connections, &connection);
}

#endif
