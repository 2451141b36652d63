/* SPDX-License-Identifier: Apache-2.0 */
/* Which connections are followed: made at their first byte, and asked about again when the process
 * or the discovery rules change. */
#ifndef OTEL_EBPF_ADMISSION_H
#define OTEL_EBPF_ADMISSION_H

#include "endpoint.h"
#include "network_part.h"
#include "own.h"
#include "process.h"

/* A fresh connection in the map, locked; NULL where there is no room, which is counted, or another CPU was
 * faster. */
static __noinline struct connection *make_connection(__u64 key, __u64 flags)
{
	__u32 zero = 0;
	void *empty = bpf_map_lookup_elem(&empty_connection, &zero);
	struct connection *conn;

	if (!empty || bpf_map_update_elem(&connections, &key, empty, flags)) {
		account(LEDGER_EVENT_CONNECTIONS_FULL);
		distrust(bpf_get_current_pid_tgid() >> 32);
		return NULL;
	}
	conn = bpf_map_lookup_elem(&connections, &key);
	if (!conn || !try_lock(conn))
		return NULL;
	conn->record.header.version = WIRE_VERSION;
	conn->record.header.socket = key;
	return conn;
}

/* The first bytes of a socket that are seen. Returns it locked, or NULL if it is none of ours. */
static __noinline struct connection *open_connection(struct sock *sk, __u32 length, __u32 sending)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct connection *conn;
	struct record_header *header;

	if (BPF_CORE_READ(sk, sk_type) != SOCK_STREAM)
		return NULL;
	if (family != AF_UNIX && BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	conn = make_connection((__u64)sk, BPF_NOEXIST);
	if (!conn)
		return NULL;
	header = &conn->record.header;
	header->family = family;
	conn->waits = blocks(sk);
	header->network_namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (family == AF_UNIX) {
		identify_unix(conn, sk);
		exchange_awaiting(true);
		if (!conn->path_length) /* a socket pair: nobody connected */
			conn->mode = MODE_IGNORED;
		return conn;
	}
	identify_tcp(conn, sk, length, sending);
	note_established(conn, sk, sending);
	meet_connection(conn, sk);
	if (header->flags & CAPTURE_ROLE_GUESSED)
		distrust(bpf_get_current_pid_tgid() >> 32);
	if (is_own(header->connection)) {
		account(LEDGER_EVENT_SELF);
		conn->mode = MODE_OWN;
	}
	if (conn->sent || conn->received)
		header->flags |= CAPTURE_OLD;
	return conn;
}

/* The slow half of finding the connection: a new one, another process, or changed rules. */
static __noinline struct connection *admit(struct connection *conn, struct sock *sk, __u32 length,
					   __u32 sending)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, ruleset = current_ruleset();
	struct process_control *process;
	bool fresh = !conn;

	if (fresh) {
		process = current_process(tgid);
		if (process && process->verdict == VERDICT_OFF) {
			remember_excluded(tgid, ruleset);
			account(LEDGER_EVENT_DISCOVERY);
			return NULL;
		}
		conn = open_connection(sk, length, sending);
		if (!conn)
			return NULL;
	} else {
		process = current_process(tgid);
		if (!wait_lock(conn))
			return NULL;
	}
	if (admitted(process, &conn->record.header)) {
		conn->record.header.ruleset = ruleset;
		/* An exchange is of the process that began it, whoever else touches the socket. */
		if (conn->phase == PHASE_IDLE && conn->record.header.process != tgid)
			fill_process(&conn->record.header, (struct task_struct *)bpf_get_current_task());
		return conn;
	}
	account(LEDGER_EVENT_DISCOVERY);
	if (conn->record.header.role == ROLE_SERVER)
		distrust(tgid);
	if (fresh || conn->record.header.process == tgid) {
		__u64 key = (__u64)sk;

		if (conn->phase != PHASE_IDLE)
			account(LEDGER_EXCHANGE_DISCOVERY);
		bpf_map_delete_elem(&connections, &key);
	} else {
		unlock(conn);
	}
	return NULL;
}

#endif
