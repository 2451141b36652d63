/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network's part in an exchange: what TCP says of its socket at the first byte, and at the last.
 * Nothing is read in between, and nothing at all without traces.network.
 *
 * Budget: 0.05 us a request.
 */
#ifndef OTEL_EBPF_NETWORK_PART_H
#define OTEL_EBPF_NETWORK_PART_H

#include "connect.h"
#include "connection.h"

/*
 * Microseconds for which no data had come any more when the socket was read, to TCP's tick, and not more than it
 * was: 0 is less than two. The stamp to the microsecond, tcp_mstamp, is no help: reading moves it
 * (tcp_rcv_space_adjust), and so do segments without data.
 */
static __always_inline __u64 since_data(const struct tcp_sock *tp)
{
	__u32 ticks = (__u32)bpf_jiffies64() - TCP_FIELD(tp, inet_conn.icsk_ack.lrcvtime);

	return ticks > 1 ? (ticks - 1) * tick / 1000 : 0;
}

/* Plaintext of a TLS session was read from its socket a while ago, at `read_at`. */
static __always_inline __u32 had_waited(const struct connection *conn, __u64 read_at)
{
	__u64 since = since_data((const struct tcp_sock *)conn->record.header.socket), ago = 0;

	if (since && conn->tls.phase != TLS_NONE)
		ago = (bpf_ktime_get_boot_ns() - read_at) / 1000;
	if (since <= ago)
		return 0;
	since -= ago;
	return since < 0xffffffff ? since : 0xffffffff;
}

static __always_inline bool has_network_part(const struct connection *conn)
{
	return network_part && conn->record.header.transport == TRANSPORT_TCP;
}

/* A connection is met, with its first bytes. What a client sends again from when it was made on, is its first
 * request's: that may have been sent before the hook. What a server reads is what had come before it accepted, if
 * nothing has come since. */
static __always_inline void meet_connection(struct connection *conn, struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct connect connect = {};

	if (!network_part)
		return;
	take_connect(&connect, (__u64)sk);
	if (connect.received && connect.received != (__u32)TCP_FIELD(tp, bytes_received))
		return;
	conn->connect_start = connect.start;
	conn->connect_end = connect.end;
	conn->retransmits = connect.end ? connect.retransmits : TCP_FIELD(tp, total_retrans);
}

/* Of the first request that had come before its connection was accepted, when it came is known to the microsecond.
 * Over TLS that was a handshake's. */
static __always_inline void settle_accepted(struct connection *conn, __u64 now)
{
	if (conn->tls.phase == TLS_NONE && !conn->exchanges)
		conn->record.waited = (now - conn->connect_start) / 1000;
	else
		conn->connect_start = conn->connect_end = 0;
}

/* An exchange begins; `now`: when its first byte passed. A client has nothing to send before that. */
static __noinline int begin_network_part(struct connection *conn, __u64 now)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)conn->record.header.socket;

	if (!has_network_part(conn) || conn->record.header.role != ROLE_SERVER)
		return 0;
	conn->retransmits = TCP_FIELD(tp, total_retrans);
	conn->record.waited = had_waited(conn, now);
	if (conn->connect_end)
		settle_accepted(conn, now);
	return 0;
}

/* It has ended. How the connection was made is told once. */
static __always_inline void end_network_part(struct connection *conn)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)conn->record.header.socket;
	struct exchange_record *record = &conn->record;
	__u32 least, retransmits;

	if (!has_network_part(conn))
		return;
	least = TCP_FIELD(tp, rtt_min.s[0].v);
	retransmits = TCP_FIELD(tp, total_retrans);
	record->rtt = TCP_FIELD(tp, srtt_us) >> 3;
	record->rtt_min = least + 1 ? least : 0;
	record->retransmits = retransmits - conn->retransmits;
	record->connect_start = conn->connect_start;
	record->connect_end = conn->connect_end;
	record->header.flags |= CAPTURE_CONNECTED * (conn->connect_end >> 63 | -conn->connect_end >> 63);
	conn->connect_start = conn->connect_end = 0;
	conn->retransmits = retransmits;
}

#endif
