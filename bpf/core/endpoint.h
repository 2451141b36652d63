/* SPDX-License-Identifier: Apache-2.0 */
/* Who is connected to whom: addresses, role, and the identity that both ends share. */
#ifndef OTEL_EBPF_ENDPOINT_H
#define OTEL_EBPF_ENDPOINT_H

#include <bpf/bpf_endian.h>
#include "connection.h"
#include "written.h"

#define SETTLE_TRIES 4

static __always_inline bool is_tcp(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) && BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

/* Whether a protocol of the kernel's own stands on a TCP socket: its TLS (Documentation/networking/tls.rst), or
 * MPTCP. */
static __always_inline bool has_upper_protocol(__u64 socket)
{
	return BPF_CORE_READ((struct inet_connection_sock *)socket, icsk_ulp_ops);
}

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

/* Half of skc_portpair: the socket's own port, which TCP takes from one that is closed and not yet read to its end. */
#define OWN_PORT 0xffff0000

/* Whether TCP's socket is not the connection's, whose end was missed (event_missed): a hook that a softirq
 * has interrupted is not run for what happens in that. */
static __always_inline bool is_another(const struct connection *conn, struct sock *sk)
{
	__u32 ports = SOCKET_FIELD(sk, __sk_common.skc_portpair);

	return ports != conn->ports && ports & OWN_PORT;
}

/* What TCP has counted of a connection, as it was at one moment. */
struct tcp_counters {
	__u64 acked, sent, received;
	__u32 una, next, receive_next;
};

/*
 * Incoming segments change these in softirqs, one counter after the other. A set in which any of
 * them moved while it was read is read again; only a softirq that stands still between two stores
 * for as long as this takes could go unnoticed.
 */
static __always_inline bool read_counters(struct tcp_counters *counters, const struct tcp_sock *tp)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		counters->acked = TCP_FIELD(tp, bytes_acked);
		counters->una = TCP_FIELD(tp, snd_una);
		counters->received = TCP_FIELD(tp, bytes_received);
		counters->receive_next = TCP_FIELD(tp, rcv_nxt);
		counters->next = TCP_FIELD(tp, snd_nxt);
		counters->sent = TCP_FIELD(tp, bytes_sent);
		counters->sent -= TCP_FIELD(tp, bytes_retrans);
		if (counters->acked == TCP_FIELD(tp, bytes_acked) &&
		    counters->una == TCP_FIELD(tp, snd_una) && counters->next == TCP_FIELD(tp, snd_nxt) &&
		    counters->received == TCP_FIELD(tp, bytes_received) &&
		    counters->receive_next == TCP_FIELD(tp, rcv_nxt))
			return true;
	}
	return false;
}

/*
 * The connecting side's SYN is counted in bytes_acked but never in bytes_sent; the accepting
 * side's is in neither. So what was sent, counted both ways, differs by 1 on the connecting side.
 */
static __always_inline __u8 tcp_role(const struct tcp_counters *counters, __u8 state)
{
	__u64 syn = counters->acked + (__u32)(counters->next - counters->una) - counters->sent;

	if (fin_sent(state))
		syn--;
	if (syn > 1)
		return ROLE_UNKNOWN;
	return syn ? ROLE_CLIENT : ROLE_SERVER;
}

/* Which of the socket's two addresses is the server's, the role says. */
static __always_inline void read_endpoints(struct record_header *header, struct sock *sk)
{
	bool serves = header->role == ROLE_SERVER;
	__u8 *local = serves ? header->server_address : header->client_address;
	__u8 *peer = serves ? header->client_address : header->server_address;
	__u16 local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	__u16 peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));

	header->server_port = serves ? local_port : peer_port;
	header->client_port = serves ? peer_port : local_port;
	if (header->family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__u32 *)peer, sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO((struct in6_addr *)local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)peer, sk, __sk_common.skc_v6_daddr);
	}
}

/*
 * When the handshake was over, to the kernel's tick, and not later than that: until something is sent, that is
 * what `lsndtime` says of a server's end (tcp_create_openreq_child).
 */
static __always_inline void note_established(struct connection *conn, struct sock *sk, bool sending)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u32 ticks;

	if (conn->record.header.role != ROLE_SERVER || conn->sent || sending)
		return;
	ticks = (__u32)bpf_jiffies64() - TCP_FIELD(tp, lsndtime);
	conn->established = bpf_ktime_get_boot_ns() - (ticks + 1ULL) * tick;
}

static __always_inline void identify_tcp(struct connection *conn, struct sock *sk, __u32 length, bool sending)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct record_header *header = &conn->record.header;
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct tcp_counters counters;
	bool settled = read_counters(&counters, tp);
	__u32 unread = counters.receive_next - TCP_FIELD(tp, copied_seq);
	__u32 fin = fin_received(state);

	conn->ports = SOCKET_FIELD(sk, __sk_common.skc_portpair);
	header->transport = TRANSPORT_TCP;
	header->role = settled ? tcp_role(&counters, state) : ROLE_UNKNOWN;
	if (header->role == ROLE_UNKNOWN) {
		account(LEDGER_CONNECTION_ROLE_UNKNOWN);
		header->flags |= CAPTURE_ROLE_GUESSED;
		header->role = sending ? ROLE_CLIENT : ROLE_SERVER; /* who speaks first, asks */
	}
	conn->local_start = counters.una - (__u32)counters.acked + (header->role == ROLE_CLIENT);
	/* A FIN counts one in each of these. It is read with the last byte. */
	conn->peer_closed = fin;
	conn->peer_start = counters.receive_next - (__u32)counters.received;
	conn->received = counters.received - (unread ? unread : fin);
	/* write_seq has only the low half of what bytes_acked counts in 64 bits */
	conn->sent = TCP_FIELD(tp, write_seq) - conn->local_start;
	conn->sent |= counters.acked & ~0xffffffffULL;
	if ((__u32)conn->sent + 1 < (__u32)counters.acked)
		conn->sent += 1ULL << 32;
	if (sending)
		conn->sent -= length + written_into(header->socket);
	else
		conn->received -= length;
	header->connection = header->role == ROLE_CLIENT ? (__u64)conn->local_start << 32 | conn->peer_start :
							   (__u64)conn->peer_start << 32 | conn->local_start;
	read_endpoints(header, sk);
}

#define O_NONBLOCK 04000

static __always_inline bool blocks(struct sock *sk)
{
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);
	struct file *file = socket ? BPF_CORE_READ(socket, file) : NULL;

	return file && !(BPF_CORE_READ(file, f_flags) & O_NONBLOCK);
}

/* Its number is never given twice. */
static __always_inline __u32 socket_inode(struct sock *sk)
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
	__u32 local = socket_inode(sk), remote = peer ? socket_inode((struct sock *)peer) : 0;

	header->transport = TRANSPORT_UNIX;
	header->role = address ? ROLE_SERVER : ROLE_CLIENT;
	if (!address && peer)
		address = BPF_CORE_READ(peer, addr);
	header->connection =
		header->role == ROLE_CLIENT ? (__u64)local << 32 | remote : (__u64)remote << 32 | local;
	conn->peer = (__u64)peer;
	if (address) {
		int length = BPF_CORE_READ(address, len) - (int)sizeof(unsigned short);
		__u64 size = length < 0 ? 0 : length;

		OPAQUE(size);
		if (size > 108)
			size = 108;
		bpf_probe_read_kernel(conn->path, size, &address->name[0].sun_path);
		conn->path_length = size;
	}
}

#endif
