/* SPDX-License-Identifier: Apache-2.0 */
/* When connections were made or, late, accepted: kept until the first of their bytes is seen. */
#ifndef OTEL_EBPF_CONNECT_H
#define OTEL_EBPF_CONNECT_H

#include "account.h"

struct connect {
	__u64 start; /* time of the call; of an accepted connection, at which its data had come */
	__u64 end; /* time at which the connection was there, or accepted; 0: it is not yet */
	__u32 retransmits; /* of its SYN */
	__u32 received; /* bytes that had come when it was accepted */
};

/* Inserted by tcp_state's hook when a process connects, and by accept's where data had been there for some time;
 * read and deleted at the connection's first byte; deleted by tcp_state's hook too when the socket is destroyed. */
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

#define LATE 1000 /* us: what is less is not told */

/*
 * A connection is given to its process, and its first data may have come before. TCP's stamp is then that of the last
 * segment, to the microsecond: nothing was sent since, nothing read, and acknowledged at once.
 */
static __always_inline void note_accepted(struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u64 key = (__u64)sk;
	__s64 waited = bpf_ktime_get_ns() / 1000 - BPF_CORE_READ(tp, tcp_mstamp);
	struct connect connect = { .received = BPF_CORE_READ(tp, bytes_received) };

	/* With SYN_RECV, data came in the SYN, and the stamp is that of the listening socket. */
	if (!connect.received || waited < LATE || BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_SYN_RECV)
		return;
	connect.end = bpf_ktime_get_boot_ns();
	connect.start = connect.end - waited * 1000;
	if (bpf_map_update_elem(&connects, &key, &connect, BPF_ANY))
		account(LEDGER_CONNECTS_FULL);
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
