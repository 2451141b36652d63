/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose child a request is. Two ways to know, both exact:
 *
 *  peer    the client on the other end of the connection is on this host: the same connection, and the
 *          same position in its stream
 *  served  the thread that makes a request is serving one, by a socket that it waits on
 *
 * A wrong parent is worse than none. A socket that does not block may be an event loop's, whose thread
 * serves many at once: what it asks has no parent here.
 *
 * Budget: 0.15 us a request at each end.
 */
#ifndef OTEL_EBPF_TRACE_H
#define OTEL_EBPF_TRACE_H

#include "context.h"
#include "process.h"
#include "tls_call.h"

enum trace_state {
	TRACE_UNRESOLVED = 1 << 0, /* a server's: the client's request was not found yet */
	TRACE_USED = 1 << 1, /* requests were made on its behalf: its trace must not change any more */
};

struct asked {
	__u64 offset;
	struct trace_context context;
};

/* The last request of a client's connection. Inserted where it begins (on rungs that have a hook before
 * the bytes leave: there), read by the other end's hooks. LRU, as the client may be gone by then. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* record_header.connection */
	__type(value, struct asked);
} asked SEC(".maps");

struct served {
	__u64 socket;
	__u64 connection;
	__u64 offset;
	__u64 several; /* the thread has had two requests at once: it is not known which one it works on */
};

/* The last request that a thread has received the beginning of. Valid while that is open. LRU. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* thread */
	__type(value, struct served);
} serving SEC(".maps");

/* Whether positions in the stream are those that the other end counts. */
static __always_inline bool positions_agree(const struct connection *conn)
{
	__u8 transport = conn->record.header.transport;

	if (transport == TRANSPORT_TCP && conn->tls.phase == TLS_NONE)
		return true;
	return transport != TRANSPORT_UNKNOWN && !(conn->record.header.flags & CAPTURE_OLD);
}

static __always_inline void take_parent(struct trace_context *own, const struct trace_context *parent,
					__u8 source)
{
	bool decided = parent->source == CONTEXT_HEADER || parent->source & CONTEXT_DECIDED;

	__builtin_memcpy(own->trace_id, parent->trace_id, sizeof(own->trace_id));
	__builtin_memcpy(own->parent_id, parent->span_id, sizeof(own->parent_id));
	own->flags = parent->flags;
	own->source = decided ? source | CONTEXT_DECIDED : source;
}

/* A server's request takes the client's for its parent, if that is known. */
static __noinline int resolve_peer(struct connection *conn)
{
	struct record_header *header = &conn->record.header;
	struct asked *known;

	if (!(conn->trace & TRACE_UNRESOLVED) || header->context.source != CONTEXT_ROOT)
		return 0;
	known = bpf_map_lookup_elem(&asked, &header->connection);
	if (!known || known->offset != header->offset)
		return 0;
	conn->trace &= ~TRACE_UNRESOLVED;
	take_parent(&header->context, &known->context, CONTEXT_PEER);
	return 0;
}

/* The open exchange of a thread's entry, NULL where there is none any more. */
static __always_inline struct connection *open_exchange(const struct served *served)
{
	struct connection *conn = find_connection(served->socket);

	if (!conn || conn->phase == PHASE_IDLE || conn->record.header.role != ROLE_SERVER ||
	    conn->record.header.connection != served->connection ||
	    conn->record.header.offset != served->offset)
		return NULL;
	return conn;
}

/* A request that this thread makes is a child of the one that it serves. */
static __noinline int inherit_served(struct trace_context *context)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct served *served = bpf_map_lookup_elem(&serving, &thread);
	struct connection *conn;

	if (!served || served->several)
		return 0;
	conn = open_exchange(served);
	if (!conn)
		return 0;
	resolve_peer(conn);
	conn->trace |= TRACE_USED;
	take_parent(context, &conn->record.header.context, CONTEXT_SERVED);
	return 0;
}

static __always_inline void note_serving(const struct connection *conn)
{
	const struct record_header *header = &conn->record.header;
	__u64 thread = bpf_get_current_pid_tgid();
	struct served *known = bpf_map_lookup_elem(&serving, &thread);
	struct served fresh = { .socket = header->socket,
				.connection = header->connection,
				.offset = header->offset };

	if (!known) {
		bpf_map_update_elem(&serving, &thread, &fresh, BPF_ANY);
		return;
	}
	if (known->socket != header->socket && open_exchange(known))
		known->several = 1;
	known->socket = header->socket;
	known->connection = header->connection;
	known->offset = header->offset;
}

/* The context of a client's request, for the other end to find. */
static __noinline int announce(__u64 connection, __u64 offset)
{
	struct asked fresh = { .offset = offset };

	root_context(&fresh.context, connection, offset, ROLE_CLIENT);
	inherit_served(&fresh.context);
	bpf_map_update_elem(&asked, &connection, &fresh, BPF_ANY);
	return 0;
}

/* Settles the context of the request that begins. What its head says is yet to come, and goes first. */
static __noinline int settle_context(struct connection *conn)
{
	struct record_header *header = &conn->record.header;
	struct asked *known;

	conn->trace = 0;
	make_context(header);
	if (header->role == ROLE_SERVER) {
		conn->trace = positions_agree(conn) ? TRACE_UNRESOLVED : 0;
		resolve_peer(conn);
		if (conn->waits)
			note_serving(conn);
		return 0;
	}
	if (!positions_agree(conn))
		return inherit_served(&header->context);
	known = bpf_map_lookup_elem(&asked, &header->connection);
	if (!known || known->offset != header->offset) {
		announce(header->connection, header->offset);
		known = bpf_map_lookup_elem(&asked, &header->connection);
	}
	if (known)
		header->context = known->context;
	return 0;
}

/* Bytes are about to leave by this socket: if they begin a request, its context is there before them. */
static __always_inline void before_send(struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct connection *conn = find_connection((__u64)sk);

	if (conn) {
		if (conn->record.header.role == ROLE_CLIENT && conn->phase == PHASE_IDLE &&
		    conn->mode == MODE_EXCHANGE && positions_agree(conn) &&
		    (conn->tls.phase == TLS_NONE || writes_plaintext()))
			announce(conn->record.header.connection, conn->sent);
		return;
	}
	/* The first bytes of who has connected: its SYN is all that was acknowledged. */
	if (is_excluded(bpf_get_current_pid_tgid() >> 32) || TCP_FIELD(tp, bytes_acked) != 1 ||
	    TCP_FIELD(tp, bytes_sent) || TCP_FIELD(tp, bytes_received))
		return;
	announce((__u64)TCP_FIELD(tp, snd_una) << 32 | TCP_FIELD(tp, rcv_nxt), 0);
}

#endif
