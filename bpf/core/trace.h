/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When it is settled whose child a request is (parent.h): at its first byte, when its head has been read, and at
 * its end, when the client's hook has run for certain. And what a task is noted to serve.
 */
#ifndef OTEL_EBPF_TRACE_H
#define OTEL_EBPF_TRACE_H

#include "parent.h"

#define ALONE_FROM 8 /* of 256: then that many are looked for again */

/* The last chance: the client's hook has run by now. Clients on other hosts, and those that are not observed,
 * are looked for on a few of a connection's requests and not on all. */
static __always_inline void resolve_at_end(struct connection *conn)
{
	if (!(conn->trace & TRACE_UNRESOLVED))
		return;
	if (!(conn->trace & TRACE_USED))
		resolve_late(conn->record.header.socket);
	if (conn->trace & TRACE_UNRESOLVED)
		conn->alone++;
}

/* A traceparent was found in a request's head. It says who the parent is, unless it says so of a request further
 * up, of which the parent that is known is a child. Global, so that the verifier walks it once. */
__noinline int settle_traceparent(__u64 socket)
{
	struct connection *conn = find_connection(socket);
	struct record_header *header;
	struct asked *known;
	__u64 key;

	if (!conn)
		return 0;
	header = &conn->record.header;
	key = key_of_both_ends(header);
	known = bpf_map_lookup_elem(&asked, &key);
	if (header->context.source != CONTEXT_ROOT && known && known->offset == header->offset &&
	    is_passed_on(known, &conn->found))
		return 0;
	__builtin_memcpy(header->context.trace_id, conn->found.trace_id, 16);
	__builtin_memcpy(header->context.parent_id, conn->found.parent_id, 8);
	header->context.flags = conn->found.flags;
	header->context.source = CONTEXT_HEADER;
	return 0;
}

/* The current task has received a request's first bytes, or more of its head, by a socket that it waits on or
 * not. BY_CONTEXT where `python_reads` is to be told. Global, so that the verifier walks it once. */
__noinline int note_received(__u64 socket, __u64 connection, __u64 offset, int waits)
{
	struct served *known, fresh = { .socket = socket, .connection = connection, .offset = offset };
	struct task task = current_thread();
	__u64 id = runtime_task(0);

	if (id == BY_PROCESS)
		request_begun(socket);
	if (id == BY_CONTEXT || id == BY_PROCESS) {
		if (!waits)
			return id;
	} else if (id) {
		task.kind = TASK_RUNTIME;
		task.id = id;
	} else if (!waits) {
		return 0;
	}
	if (id & NODE_TASK)
		fresh.how = SERVED_PENDING;
	known = bpf_map_lookup_elem(&serving, &task);
	if (!known || id & NODE_TASK || known->how == SERVED_STARTED) {
		bpf_map_update_elem(&serving, &task, &fresh, BPF_ANY);
		return 0;
	}
	if (known->socket != socket && open_exchange(known))
		known->several = 1;
	known->socket = socket;
	known->connection = connection;
	known->offset = offset;
	return 0;
}

static __always_inline int note_serving(const struct connection *conn)
{
	const struct record_header *header = &conn->record.header;

	/* Side by side, and not one in the other: the stack of old kernels has no room for both. */
	if (note_received(header->socket, header->connection, header->offset, conn->waits) == BY_CONTEXT)
		python_reads(header->socket);
	return 0;
}

/* More of a request's head: who reads that is who serves it. Go reads the first byte in a goroutine that only
 * waits for it. */
static __noinline int go_on_serving(const struct connection *conn)
{
	if (conn->record.header.role == ROLE_SERVER && !conn->waits && conn->phase == PHASE_REQUEST &&
	    conn->request.state != HEAD_DONE)
		note_serving(conn);
	return 0;
}

/* What nobody takes for a request of the connection: until all of an entry is written. */
static const struct asked unwritten = { .offset = ~0ULL, .inherited = 1 };

/* Notes a client's request, for the other end to find, unless that was done. Returns what is noted, NULL where
 * that cannot be. Written in place: the stack of old kernels has no room for it. */
static __noinline struct asked *note_asked(__u64 key, __u64 connection, __u64 offset, __u64 socket)
{
	struct asked *known = bpf_map_lookup_elem(&asked, &key);
	__u64 inherited = 0;

	if (!known) {
		bpf_map_update_elem(&asked, &key, &unwritten, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&asked, &key);
		if (!known)
			return NULL;
	} else if (known->offset == offset) {
		return known;
	} else { /* a request that was answered: nobody asks for it any more */
		inherited = known->inherited;
		known->inherited = unwritten.inherited;
		known->offset = unwritten.offset;
	}
	root_context(&known->context, connection, offset, ROLE_CLIENT);
	known->passed_on = inherit_served(&known->context, socket);
	known->inherited = inherited || *(__u64 *)known->context.parent_id;
	known->offset = offset;
	return known;
}

/* The same before it begins: its bytes are about to leave, or are heard of later, and the other end may be
 * faster. Touches nothing of the connection, of which an earlier exchange may yet be amended. */
static __always_inline void announce(const struct connection *conn)
{
	const struct record_header *header = &conn->record.header;

	if (header->role == ROLE_CLIENT && conn->phase == PHASE_IDLE && positions_agree(conn))
		note_asked(key_of_both_ends(header), header->connection, conn->sent, header->socket);
}

/* Bytes are about to leave by this socket: for rungs that have a hook there anyway. */
static __always_inline void before_send(struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u64 connection, socket = 0;
	struct connection *conn;

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
	/* Global functions take no pointers for numbers. */
	bpf_probe_read_kernel(&socket, sizeof(socket), &sk);
	note_asked(connection, connection, 0, socket);
}

/* Nobody is to find what this end has asked: its connection has ended, or what it has sent was no request. The
 * first that it makes stands at the same position then, and may be another task's. */
static __noinline int forget_asked(const struct connection *conn)
{
	__u64 key = key_of_both_ends(&conn->record.header);

	if (conn->record.header.role == ROLE_CLIENT)
		bpf_map_delete_elem(&asked, &key);
	return 0;
}

/* Settles the context of the request that begins. What its head says is yet to come, and goes first. */
static __noinline int settle_context(struct connection *conn)
{
	struct record_header *header = &conn->record.header;
	struct asked *known;

	conn->trace = 0;
	conn->found.source = CONTEXT_NONE;
	root_context(&header->context, header->connection, header->offset, header->role);
	if (header->role == ROLE_SERVER) {
		if (conn->alone >= ALONE_FROM)
			conn->alone++;
		else if (positions_agree(conn))
			conn->trace = TRACE_UNRESOLVED;
		resolve_peer(conn);
		note_serving(conn);
		return 0;
	}
	if (!positions_agree(conn)) {
		inherit_served(&header->context, header->socket);
		return 0;
	}
	known = note_asked(key_of_both_ends(header), header->connection, header->offset, header->socket);
	if (known)
		header->context = known->context;
	return 0;
}

#endif
