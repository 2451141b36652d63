/* SPDX-License-Identifier: Apache-2.0 */
/* What only silence can tell, looked for from time to time by user space. */
#ifndef OTEL_EBPF_WALK_H
#define OTEL_EBPF_WALK_H

#include "event.h"

struct walk {
	__u64 now;
	__u64 silence; /* ns of it end an exchange whose end nothing else tells */
	__u64 forget; /* ns of it end a connection that is not TCP's: no hook sees its close */
	__u64 in_flight; /* result: open exchanges */
	__u64 connections; /* result */
	__u64 count_active; /* also count the open requests of each server */
};

struct active_key {
	__u64 start; /* of the process, whose pid may be another's later */
	__u64 method; /* the request's first eight bytes */
	__u32 process;
	__u32 encrypted;
};

/* Open HTTP/1 requests of servers. Inserted and added to by a walk, read and emptied by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct active_key);
	__type(value, __u64);
} active_requests SEC(".maps");

/* Written by the walk, read by user space after it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

/* No hook sees a unix socket's close; its struct sock shows it, also when it was reused since. */
static __always_inline bool unix_closed(const struct connection *conn)
{
	struct unix_sock *sk = (struct unix_sock *)conn->record.header.socket;

	if (conn->record.header.transport != TRANSPORT_UNIX)
		return false;
	return !BPF_CORE_READ(sk, peer) || (__u64)BPF_CORE_READ(sk, peer) != conn->peer;
}

/* TCP's end was missed, or an application does not read what came with it. */
static __always_inline bool tcp_closed(const struct connection *conn)
{
	struct sock *sk = (struct sock *)conn->record.header.socket;

	if (conn->record.header.transport != TRANSPORT_TCP)
		return false;
	return BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE ||
	       BPF_CORE_READ(sk, __sk_common.skc_portpair) != conn->ports;
}

static __always_inline void count_active(struct connection *conn)
{
	struct active_key key = { .start = conn->record.header.process_start,
				  .method = *(__u64 *)conn->data,
				  .process = conn->record.header.process,
				  .encrypted = conn->tls.phase != TLS_NONE };
	__u64 *known = bpf_map_lookup_elem(&active_requests, &key), one = 1;

	if (known)
		(*known)++;
	else
		bpf_map_update_elem(&active_requests, &key, &one, BPF_NOEXIST);
}

static __always_inline void visit(struct connection *conn, struct walk *walk)
{
	__u64 silent;
	bool over, gone;

	if (!conn->record.header.version)
		return; /* it is being made */
	silent = walk->now > conn->last ? walk->now - conn->last : 0;
	over = conn->phase == PHASE_RESPONSE && conn->response.state == HEAD_UNKNOWN;
	gone = silent > walk->silence && (unix_closed(conn) || conn->tls.ended);

	if (over || conn->amending || conn->tls.ended || conn->record.header.transport != TRANSPORT_TCP)
		exchange_awaiting(true); /* may have to wait for another walk */
	walk->connections++;
	if (conn->record.header.transport != TRANSPORT_TCP && silent > walk->forget &&
	    (conn->phase == PHASE_IDLE || conn->record.header.transport == TRANSPORT_UNKNOWN))
		gone = true;
	if (silent > walk->forget && tcp_closed(conn))
		gone = true;
	if (conn->phase != PHASE_IDLE)
		walk->in_flight++;
	if (walk->count_active && conn->phase != PHASE_IDLE && conn->record.header.role == ROLE_SERVER &&
	    conn->request.state == HEAD_DONE)
		count_active(conn);
	if (silent <= walk->silence || !(over || gone || conn->amending) || !try_lock(conn))
		return;
	if (gone) {
		end_connection(conn, conn->tls.ended ?: END_FIN, conn->tls.ended_error);
		return;
	}
	if (conn->phase == PHASE_RESPONSE && conn->response.state == HEAD_UNKNOWN)
		finish_exchange(conn, END_IDLE, 0);
	finish_amending(conn);
	release(conn);
}

#endif
