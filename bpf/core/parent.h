/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose child a request is. Two ways to know, both exact:
 *
 *  peer    the client on the other end of the connection is on this host: the same connection, and the
 *          same position in its stream
 *  served  the task that makes a request is serving one, or was made by one that did. A task is what the
 *          process's runtime says it is (task.h), else a thread, of a socket that it waits on
 *
 * A wrong parent is worse than none. A socket that does not block may be an event loop's, whose thread
 * serves many at once: where its runtime is not known, what it asks has no parent here.
 *
 * Budget: 0.1 us a request at each end.
 */
#ifndef OTEL_EBPF_PARENT_H
#define OTEL_EBPF_PARENT_H

#include "context.h"
#include "process.h"
#include "served_socket.h"

enum trace_state {
	TRACE_UNRESOLVED = 1 << 0, /* a server's: the client's request was not found yet */
	TRACE_USED = 1 << 1, /* requests were made on its behalf: its trace must not change any more */
};

struct asked {
	__u64 offset;
	__u64 inherited; /* whether any request of the connection had a parent */
	__u64 passed_on; /* parent id in the traceparent of the request that the task serves; 0: none */
	struct trace_context context;
};

/* The last request of a client's connection. Inserted where it begins, read by the other end's hooks, deleted
 * with the connection: a map of this kind that is full may let go of what is a moment old. LRU: ends are missed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* key_of_both_ends */
	__type(value, struct asked);
} asked SEC(".maps");

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

/* Whether a traceparent is the one of the request that the client serves, passed on as it came: then the client
 * does not decide by it. */
static __always_inline bool is_passed_on(const struct asked *known, const struct trace_context *found)
{
	const __u64 *trace = (const __u64 *)found->trace_id, *same = (const __u64 *)known->context.trace_id;

	return known->passed_on && !((known->passed_on ^ *(const __u64 *)found->parent_id) |
				     (trace[0] ^ same[0]) | (trace[1] ^ same[1]));
}

/* A server's request takes the client's for its parent, if that is known. */
static __noinline int resolve_peer(struct connection *conn)
{
	struct record_header *header = &conn->record.header;
	__u64 key = key_of_both_ends(header);
	__u64 own = *(__u64 *)header->context.span_id;
	struct asked *known;

	if (!(conn->trace & TRACE_UNRESOLVED))
		return 0;
	known = bpf_map_lookup_elem(&asked, &key);
	if (!known || known->offset < header->offset)
		return 0;
	if (header->context.source != CONTEXT_ROOT &&
	    (known->offset != header->offset || !is_passed_on(known, &header->context)))
		return 0;
	if (known->offset == header->offset) {
		take_parent(&header->context, &known->context, CONTEXT_PEER);
	} else { /* pipelining: the client is further on already */
		if (known->inherited)
			return 0;
		/* In place: the stack of old kernels has no room for another context. */
		root_context(&header->context, header->connection, header->offset, ROLE_CLIENT);
		*(__u64 *)header->context.parent_id = *(__u64 *)header->context.span_id;
		*(__u64 *)header->context.span_id = own;
		header->context.source = CONTEXT_PEER;
	}
	conn->trace &= ~TRACE_UNRESOLVED;
	conn->alone = 0;
	return 0;
}

/* The same later, when the client's hook has run. Global, so that the verifier walks it once. */
__noinline int resolve_late(__u64 socket)
{
	struct connection *conn = find_connection(socket);

	return conn ? resolve_peer(conn) : 0;
}

/* A request that is made here is a child of the one that the task serves. Returns the parent id in that one's
 * traceparent, 0 for none. */
static __always_inline __u64 inherit_served(struct trace_context *context, __u64 socket)
{
	__u64 found = served_socket(socket);
	struct connection *conn = find_connection(found);

	if (!conn) {
		context->source = found;
		return 0;
	}
	if (conn->trace & TRACE_UNRESOLVED)
		resolve_late(conn->record.header.socket);
	conn->trace |= TRACE_USED;
	take_parent(context, &conn->record.header.context, CONTEXT_SERVED);
	return conn->found.source == CONTEXT_HEADER ? *(__u64 *)conn->found.parent_id : 0;
}

#endif
