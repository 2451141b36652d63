/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP's health, added up where it is seen: by process, peer and service port, so that what user space
 * reads grows with the number of peers, and not of packets or connections.
 */
#ifndef OTEL_EBPF_TCP_PEER_H
#define OTEL_EBPF_TCP_PEER_H

#include "account.h"

/* Two of a kind: hooks add to the one that `tcp_peers` names, inserting what is missing; user space names
 * the other one there, for which the kernel waits until no hook uses the first any more
 * (maybe_wait_bpf_programs), and then reads and empties that. */
struct tcp_peers {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1); /* network.tcp.peers, and some for what is over */
	__type(key, struct tcp_peer_key);
	__type(value, struct tcp_peer);
} tcp_peers_even SEC(".maps")
, tcp_peers_odd SEC(".maps");

/* Written by user space, read by all hooks; empty, so that nothing is added, until it starts. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct tcp_peers);
} tcp_peers SEC(".maps");

/* How many peers were inserted since user space took the last. Added to by hooks, zeroed by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tcp_peers_made SEC(".maps");

/* One of zeros, so that an insertion needs no stack. Never written. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcp_peer);
} empty_tcp_peer SEC(".maps");

enum tcp_scale {
	SCALE_RTT = 0,
	SCALE_CONNECT = 1,
	SCALE_DURATION = 2,
};

#define US 1000ULL
#define MS 1000000ULL
#define SECOND 1000000000ULL
#define MINUTE (60 * SECOND)
#define NEVER 0x7fffffffffffffffULL /* 292 years */

/* Upper bounds, inclusive, of all buckets but the last: otel_ebpf/kernel/tcp_peers.py has them too. */
static const __u64 tcp_bounds[3][TCP_BUCKETS - 1] = {
	{ 100 * US, 250 * US, 500 * US, MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS,
	  500 * MS, SECOND, NEVER, NEVER },
	{ 100 * US, 500 * US, MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS,
	  SECOND, 2500 * MS, 5 * SECOND, 10 * SECOND },
	{ MS, 5 * MS, 10 * MS, 50 * MS, 100 * MS, 500 * MS, SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND,
	  MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, 60 * MINUTE },
};

/* Global, so that the verifier does not walk on from each bucket; and without a comparison, of which it would walk
 * both ways, 2^15 of them where it tells all values apart (before 6.2, be2ef8161572). */
__noinline __u32 tcp_bucket(__u32 scale, __u64 nanoseconds)
{
	__u64 bucket = 0, row = scale;

	OPAQUE(row);
	if (row > SCALE_DURATION)
		return 0;
	for (int i = 0; i < TCP_BUCKETS - 1; i++)
		bucket += (tcp_bounds[row][i] - nanoseconds) >> 63;
	return bucket;
}

/* Atomic although per CPU: a softirq may interrupt a hook in the middle. The extremes are not worth it. */
static __always_inline void measure(struct tcp_histogram *histogram, __u32 scale, __u64 nanoseconds)
{
	__u64 bucket = tcp_bucket(scale, nanoseconds);

	OPAQUE(bucket);
	if (bucket >= TCP_BUCKETS)
		return;
	__sync_fetch_and_add(&histogram->counts[bucket], 1);
	__sync_fetch_and_add(&histogram->total, nanoseconds);
	if (nanoseconds > histogram->most)
		histogram->most = nanoseconds;
	if (~nanoseconds > histogram->least)
		histogram->least = ~nanoseconds;
}

static __always_inline struct tcp_peer *insert_peer(void *peers, const struct tcp_peer_key *key)
{
	__u32 zero = 0;
	void *empty = bpf_map_lookup_elem(&empty_tcp_peer, &zero);
	__u32 *made = bpf_map_lookup_elem(&tcp_peers_made, &zero);

	if (!empty || !made)
		return NULL;
	if (!(key->kind & TCP_OVERFLOW)) {
		if (*made >= network_peers)
			return NULL;
		__sync_fetch_and_add(made, 1);
	}
	bpf_map_update_elem(peers, key, empty, BPF_NOEXIST); /* fails where another CPU was faster */
	return bpf_map_lookup_elem(peers, key);
}

/* A peer's numbers on this CPU, or those of all for which there was no room. `key` is changed then. */
static __noinline struct tcp_peer *peer_of(struct tcp_peer_key *key)
{
	__u32 zero = 0;
	void *peers = bpf_map_lookup_elem(&tcp_peers, &zero);
	struct tcp_peer *found;

	if (!peers)
		return NULL;
	found = bpf_map_lookup_elem(peers, key);
	if (!found)
		found = insert_peer(peers, key);
	if (found)
		return found;
	account(LEDGER_TCP_PEER_LIMIT);
	key->kind |= TCP_OVERFLOW;
	key->port = 0;
	__builtin_memset(key->address, 0, sizeof(key->address));
	found = bpf_map_lookup_elem(peers, key);
	if (!found)
		found = insert_peer(peers, key);
	if (!found)
		account(LEDGER_TCP_PEERS_FULL);
	return found;
}

#endif
