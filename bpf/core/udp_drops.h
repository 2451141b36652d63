/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that a socket had no room for, or that were damaged. The kernel counts them for each socket: that is read
 * by the sweep, and once more when the socket is closed. Nothing runs where they are dropped, which may be a flood.
 */
#ifndef OTEL_EBPF_UDP_DROPS_H
#define OTEL_EBPF_UDP_DROPS_H

#include "udp.h"

/* How many of a socket's drops are counted. Inserted by the sweep for those that have dropped something; read and
 * deleted when the socket is closed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* the address of the struct sock */
	__type(value, __u32);
} udp_drops SEC(".maps");

static __always_inline void add_drops(struct sock *sk, struct task_struct *task, __u32 drops)
{
	__u64 start = BPF_CORE_READ(task, group_leader, start_boottime);
	__u32 tgid = BPF_CORE_READ(task, tgid);
	__u16 port = served_port(sk);
	struct tcp_peer *sums;

	if (!drops || !is_counted(bpf_map_lookup_elem(&processes, &tgid), port))
		return;
	sums = udp_sums(tgid, start, port);
	if (sums)
		__sync_fetch_and_add(&sums->overflows, drops);
}

/* A socket that has fewer than are counted is another, under the address of one whose end was not seen. */
static __always_inline __u32 drops_since(const __u32 *counted, __u32 drops)
{
	return counted && *counted <= drops ? drops - *counted : drops;
}

/* By the sweep, for each descriptor of the socket. */
static __always_inline void visit_datagrams(struct sock *sk, struct task_struct *task)
{
	__u64 key = (__u64)sk;
	__u32 drops = drops_of(sk), *counted = bpf_map_lookup_elem(&udp_drops, &key);
	__u32 more = drops_since(counted, drops);

	if (counted)
		*counted = drops;
	else if (drops && bpf_map_update_elem(&udp_drops, &key, &drops, BPF_NOEXIST)) {
		account(LEDGER_UDP_SOCKETS_FULL); /* its end counts them all */
		return;
	}
	add_drops(sk, task, more);
}

/* The last descriptor of the socket is closed, by the current process. */
static __always_inline void on_udp_closed(struct sock *sk)
{
	__u64 key = (__u64)sk;
	__u32 drops = drops_of(sk), *counted;

	if (!drops)
		return;
	counted = bpf_map_lookup_elem(&udp_drops, &key);
	drops = drops_since(counted, drops);
	if (counted)
		bpf_map_delete_elem(&udp_drops, &key);
	add_drops(sk, (struct task_struct *)bpf_get_current_task(), drops);
}

#endif
