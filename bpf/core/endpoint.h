/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected to whom: addresses, role, and the identity that both ends share. */
#ifndef OTEL_EBPF_ENDPOINT_H
#define OTEL_EBPF_ENDPOINT_H

#include <bpf/bpf_endian.h>
#include "connection.h"

/* TCP's counters change under us: ACKs arrive in softirqs. Values that do not agree are read again. */
#define SETTLE_TRIES 4

static __always_inline bool fin_received(__u8 state)
{
	return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING ||
	       state == TCP_TIME_WAIT;
}

static __always_inline bool fin_sent(__u8 state)
{
	return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_LAST_ACK ||
	       state == TCP_CLOSING || state == TCP_TIME_WAIT;
}

/*
 * The connecting side's SYN is counted in bytes_acked but never in bytes_sent; the accepting
 * side's is in neither. So what was sent, counted both ways, differs by 1 on the connecting side.
 */
static __always_inline __u8 tcp_role(struct connection *conn, const struct tcp_sock *tp, __u8 state)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		__u64 acked = BPF_CORE_READ(tp, bytes_acked);
		__u32 una = BPF_CORE_READ(tp, snd_una);
		__u32 next = BPF_CORE_READ(tp, snd_nxt);
		__u64 sent = BPF_CORE_READ(tp, bytes_sent);
		__u64 again = BPF_CORE_READ(tp, bytes_retrans);
		__u64 syn = acked + (__u32)(next - una) - (sent - again);

		if (fin_sent(state))
			syn--;
		if (syn > 1 || una != BPF_CORE_READ(tp, snd_una) ||
		    acked != BPF_CORE_READ(tp, bytes_acked))
			continue;
		conn->local_start = una - (__u32)acked + (__u32)syn;
		return syn ? ROLE_CLIENT : ROLE_SERVER;
	}
	return ROLE_UNKNOWN;
}

static __always_inline void identify_tcp(struct connection *conn, struct sock *sk, bool sending)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct record_header *header = &conn->record.header;
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	__u32 next = BPF_CORE_READ(tp, rcv_nxt);

	header->transport = TRANSPORT_TCP;
	header->role = tcp_role(conn, tp, state);
	conn->peer_start = next - (__u32)BPF_CORE_READ(tp, bytes_received);
	if (fin_received(state))
		conn->peer_start--;
	if (header->role == ROLE_UNKNOWN) {
		account(LEDGER_CONNECTION_ROLE_UNKNOWN);
		header->flags |= CAPTURE_ROLE_GUESSED;
		header->role = sending ? ROLE_CLIENT : ROLE_SERVER; /* who speaks first, asks */
		conn->local_start = BPF_CORE_READ(tp, snd_una) - (__u32)BPF_CORE_READ(tp, bytes_acked);
	}
	header->connection = header->role == ROLE_CLIENT ?
				     (__u64)conn->local_start << 32 | conn->peer_start :
				     (__u64)conn->peer_start << 32 | conn->local_start;
	header->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	header->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (header->family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)header->local_address, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)header->peer_address, sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO(&header->local_address, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&header->peer_address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
}

static __always_inline __u32 unix_inode(struct sock *sk)
{
	struct socket_alloc *both = (struct socket_alloc *)BPF_CORE_READ(sk, sk_socket);

	return both ? (__u32)BPF_CORE_READ(both, vfs_inode.i_ino) : 0;
}

/* Only the listening side has an address; an accepted socket shares its listener's. */
static __always_inline void identify_unix(struct connection *conn, struct sock *sk)
{
	struct record_header *header = &conn->record.header;
	struct unix_sock *peer = (struct unix_sock *)BPF_CORE_READ((struct unix_sock *)sk, peer);
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)sk, addr);
	__u32 local = unix_inode(sk), remote = peer ? unix_inode((struct sock *)peer) : 0;

	header->transport = TRANSPORT_UNIX;
	header->role = address ? ROLE_SERVER : ROLE_CLIENT;
	if (!address && peer)
		address = BPF_CORE_READ(peer, addr);
	header->connection = header->role == ROLE_CLIENT ? (__u64)local << 32 | remote :
							   (__u64)remote << 32 | local;
	conn->peer = (__u64)peer;
	if (address) {
		int length = BPF_CORE_READ(address, len) - (int)sizeof(unsigned short);
		__u32 size = length < 0 ? 0 : length;

		OPAQUE(size);
		if (size > 108)
			size = 108;
		bpf_probe_read_kernel(conn->path, size, &address->name[0].sun_path);
		conn->path_length = size;
	}
}

#endif
