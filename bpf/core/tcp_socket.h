/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of a TCP socket: whose it is, who its peer is, and how far it has been counted. */
#ifndef OTEL_EBPF_TCP_SOCKET_H
#define OTEL_EBPF_TCP_SOCKET_H

#include "endpoint.h"
#include "process.h"
#include "tcp_peer.h"

enum tcp_phase {
	TCP_CONNECTING = 0,
	TCP_OPEN = 1, /* or listening */
	TCP_FAILED = 2, /* over before it was open */
	TCP_ENDED = 3,
};

/* TCP's own counters. */
struct tcp_reading {
	__u64 sent; /* bytes of payload, each once */
	__u64 received;
	__u64 acked; /* only to see that it moves */
	__u64 retransmits; /* segments */
	__u64 rtt; /* us; 0: never measured */
};

struct tcp_socket {
	__u64 start; /* of the process */
	__u32 process; /* that has it; 0: not known yet */
	__u16 port; /* of the listening side */
	__u8 kind; /* enum tcp_kind */
	__u8 phase; /* enum tcp_phase */
	__u8 address[16]; /* of the peer, as in tcp_peer_key */
	__u64 began; /* the attempt to connect */
	__u64 established; /* 0: before the agent */
	__u64 ended;
	struct tcp_reading counted; /* up to here */
	struct tcp_reading last; /* as it was at the end */
	__u32 drops; /* of a listening socket, counted up to here */
	__u32 sweep; /* the last one that has seen it */
	__u8 error; /* errno */
	__u8 ignored; /* the agent's, from either end, or the kernel's */
	__u8 settled; /* its end is counted */
	__u8 reset_sent; /* and not counted yet */
	__u8 reset_received;
	__u8 sampled; /* its round trip time was taken */
	__u8 reserved[2];
};

/* Inserted when a socket connects, listens or is made for an incoming connection, and by the sweep where
 * that was before the agent; read by all hooks for TCP's health; deleted when the socket is destroyed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* network.tcp.connections */
	__type(key, __u64); /* the address of the struct sock */
	__type(value, struct tcp_socket);
} tcp_sockets SEC(".maps");

static __always_inline struct tcp_socket *find_tcp_socket(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&tcp_sockets, &key);
}

static __always_inline bool has_flag(struct sock *sk, int flag)
{
	return BPF_CORE_READ(sk, __sk_common.skc_flags) >> flag & 1;
}

/* A FIN counts one in bytes_received, but is no payload. */
static __always_inline void read_tcp(struct tcp_reading *reading, struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u64 again = BPF_CORE_READ(tp, bytes_retrans);

	reading->sent = BPF_CORE_READ(tp, bytes_sent) - again;
	reading->received = BPF_CORE_READ(tp, bytes_received);
	if (reading->received && has_flag(sk, SOCK_DONE))
		reading->received--;
	reading->acked = BPF_CORE_READ(tp, bytes_acked);
	reading->retransmits = BPF_CORE_READ(tp, total_retrans);
	reading->rtt = BPF_CORE_READ(tp, srtt_us) >> 3;
}

static __always_inline void read_peer(struct tcp_socket *socket, struct sock *sk)
{
	socket->port = socket->kind == TCP_CONNECTED ? bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)) :
						       BPF_CORE_READ(sk, __sk_common.skc_num);
	if (socket->kind == TCP_LISTENING)
		return;
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)socket->address, sk, __sk_common.skc_v6_daddr);
	} else {
		socket->address[10] = socket->address[11] = 0xff;
		BPF_CORE_READ_INTO((__u32 *)&socket->address[12], sk, __sk_common.skc_daddr);
	}
}

static __always_inline void set_owner(struct tcp_socket *socket, struct task_struct *task)
{
	socket->start = BPF_CORE_READ(task, group_leader, start_boottime);
	socket->process = BPF_CORE_READ(task, tgid);
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		socket->ignored = 1;
}

/*
 * Whose it is: who moved bytes on it, else who is in a system call that has locked it. In a softirq
 * nobody has, and the current process is any.
 */
static __always_inline void learn_owner(struct tcp_socket *socket, struct sock *sk)
{
	struct connection *conn;

	if (socket->process)
		return;
	conn = find_connection((__u64)sk);
	if (conn && conn->record.header.process) {
		socket->start = conn->record.header.process_start;
		socket->process = conn->record.header.process;
	} else if (BPF_CORE_READ(sk, sk_lock.owned)) {
		set_owner(socket, (struct task_struct *)bpf_get_current_task());
	}
}

/* Of what the rules leave out nothing is counted. */
static __always_inline bool is_wanted(const struct tcp_socket *socket)
{
	if (socket->ignored || !socket->process)
		return false;
	return is_counted(bpf_map_lookup_elem(&processes, &socket->process), socket->port);
}

static __always_inline bool keep_socket(struct sock *sk, const struct tcp_socket *socket)
{
	__u64 key = (__u64)sk;

	if (!bpf_map_update_elem(&tcp_sockets, &key, socket, BPF_ANY))
		return true;
	account(LEDGER_TCP_SOCKETS_FULL);
	return false;
}

#endif
