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
 * Budget: 0.1 us a request at each end.
 */
#ifndef OTEL_EBPF_TRACE_H
#define OTEL_EBPF_TRACE_H

#include "context.h"
#include "process.h"

enum trace_state {
	TRACE_UNRESOLVED = 1 << 0, /* a server's: the client's request was not found yet */
	TRACE_USED = 1 << 1, /* requests were made on its behalf: its trace must not change any more */
};

#define ALONE_FROM 8 /* of 256: then that many are looked for again */

struct asked {
	__u64 offset;
	struct trace_context context;
};

/* The last request of a client's connection. Inserted where it begins, read by the other end's hooks. LRU, as
 * the client may be gone by then. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* key_of_both_ends */
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

/* A unix server's end has no inode until it is accepted, by when the client may have sent: the client's is
 * enough. */
static __always_inline __u64 key_of_both_ends(const struct record_header *header)
{
	if (header->transport == TRANSPORT_UNIX)
		return header->connection & ~0xffffffffULL;
	return header->connection;
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
	__u64 key = key_of_both_ends(header);
	struct asked *known;

	if (!(conn->trace & TRACE_UNRESOLVED) || header->context.source != CONTEXT_ROOT)
		return 0;
	known = bpf_map_lookup_elem(&asked, &key);
	if (!known || known->offset != header->offset)
		return 0;
	conn->trace &= ~TRACE_UNRESOLVED;
	conn->alone = 0;
	take_parent(&header->context, &known->context, CONTEXT_PEER);
	return 0;
}

/* The last chance: the client's hook has run by now. Clients on other hosts, and those that are not observed,
 * are looked for on a few of a connection's requests and not on all. */
static __always_inline void resolve_at_end(struct connection *conn)
{
	if (!(conn->trace & TRACE_UNRESOLVED))
		return;
	if (!(conn->trace & TRACE_USED))
		resolve_peer(conn);
	if (conn->trace & TRACE_UNRESOLVED)
		conn->alone++;
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

/* Notes a client's request, for the other end to find, unless that was done. */
static __noinline int note_asked(__u64 key, __u64 connection, __u64 offset)
{
	struct asked *known = bpf_map_lookup_elem(&asked, &key);
	struct asked fresh = { .offset = offset };

	if (known && known->offset == offset)
		return 0;
	root_context(&fresh.context, connection, offset, ROLE_CLIENT);
	inherit_served(&fresh.context);
	if (known) /* of a request that was answered: nobody asks for it any more */
		*known = fresh;
	else
		bpf_map_update_elem(&asked, &key, &fresh, BPF_ANY);
	return 0;
}

/* The same before it begins: its bytes are about to leave, or are heard of later, and the other end may be
 * faster. Touches nothing of the connection, of which an earlier exchange may yet be amended. */
static __always_inline void announce(const struct connection *conn)
{
	const struct record_header *header = &conn->record.header;

	if (header->role == ROLE_CLIENT && conn->phase == PHASE_IDLE && positions_agree(conn))
		note_asked(key_of_both_ends(header), header->connection, conn->sent);
}

/* Bytes are about to leave by this socket: for rungs that have a hook there anyway. */
static __always_inline void before_send(struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	struct connection *conn;
	__u64 connection;

	if (is_excluded(bpf_get_current_pid_tgid() >> 32))
		return;
	conn = find_connection((__u64)sk);
	if (conn) {
		if (conn->mode == MODE_EXCHANGE && conn->tls.phase == TLS_NONE)
			announce(conn);
		return;
	}
	/* The first bytes of who has connected: its SYN is all that was acknowledged. */
	if (TCP_FIELD(tp, bytes_acked) != 1 || TCP_FIELD(tp, bytes_sent) || TCP_FIELD(tp, bytes_received))
		return;
	connection = (__u64)TCP_FIELD(tp, snd_una) << 32 | TCP_FIELD(tp, rcv_nxt);
	note_asked(connection, connection, 0);
}

/* Settles the context of the request that begins. What its head says is yet to come, and goes first. */
static __noinline int settle_context(struct connection *conn)
{
	struct record_header *header = &conn->record.header;
	__u64 key = key_of_both_ends(header);
	struct asked *known;

	conn->trace = 0;
	root_context(&header->context, header->connection, header->offset, header->role);
	if (header->role == ROLE_SERVER) {
		if (conn->alone >= ALONE_FROM)
			conn->alone++;
		else if (positions_agree(conn))
			conn->trace = TRACE_UNRESOLVED;
		resolve_peer(conn);
		if (conn->waits)
			note_serving(conn);
		return 0;
	}
	if (!positions_agree(conn))
		return inherit_served(&header->context);
	note_asked(key, header->connection, header->offset);
	known = bpf_map_lookup_elem(&asked, &key);
	if (known && known->offset == header->offset)
		header->context = known->context;
	return 0;
}

#endif
