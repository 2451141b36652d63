/* SPDX-License-Identifier: Apache-2.0 */
/* Which request a task serves. */
#ifndef OTEL_EBPF_SERVING_H
#define OTEL_EBPF_SERVING_H

#include "connection.h"
#include "task.h"

struct served {
	__u64 socket;
	__u64 connection;
	__u64 offset;
	__u32 several; /* the task has had two requests at once: it is not known which one it works on */
	__u32 how; /* enum served_how, for runtimes that tell it apart */
	__u64 since; /* an id, as `how` says: the last one there was when it was received */
};

enum served_how {
	SERVED_INHERITED = 0,
	SERVED_OUTSIDE = 1, /* inherited where no id was running */
	SERVED_PENDING = 2, /* received a moment ago: by whom is about to be known */
	SERVED_RECEIVED = 3, /* received by this task itself */
	SERVED_GIVEN = 4, /* it was lent to whom this tells: socket 0 for somebody unknown */
	SERVED_UNSURE = 5, /* made by this or by another, but by this if its trigger is `since` */
	SERVED_STARTED = 6, /* a thread that another has started; `since`: 1 once it has asked */
};

/* The last request that a task has received the beginning of, or was made on behalf of. Valid while that is
 * open. Inserted at a request's beginning and by the runtimes' hooks; a thread's is deleted at its exit. LRU: other
 * tasks end unseen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct task);
	__type(value, struct served);
} serving SEC(".maps");

/* Whether a request is open that somebody else has made, and that is told of: one whose head was followed to its
 * end, or FastCGI's. Of what else passes there may be several at once. */
static __always_inline bool is_served(const struct connection *conn)
{
	return conn->phase != PHASE_IDLE && conn->record.header.role == ROLE_SERVER &&
	       conn->request.state >= HEAD_FASTCGI;
}

/* The open exchange of a task's entry, NULL where there is none any more. */
static __always_inline struct connection *open_exchange(const struct served *served)
{
	struct connection *conn = find_connection(served->socket);

	if (!conn || !is_served(conn) || conn->record.header.connection != served->connection ||
	    conn->record.header.offset != served->offset)
		return NULL;
	return conn;
}

/* What a task serves, if that is known and still open. */
static __always_inline struct connection *served_by(const struct task *task)
{
	struct served *served = bpf_map_lookup_elem(&serving, task);

	return served && !served->several && served->how != SERVED_STARTED ? open_exchange(served) : NULL;
}

/* By a task's entry: the socket of the request that it serves, else why none is known. */
static __always_inline __u64 socket_or_reason(const struct served *served)
{
	if (!served)
		return CONTEXT_ROOT;
	if (served->several)
		return CONTEXT_AMBIGUOUS;
	return open_exchange(served) ? served->socket : CONTEXT_ANSWERED;
}

/* From now on `to` works on what `from` serves; on nothing, if that is not known. */
static __always_inline void hand_over(const struct task *to, const struct task *from)
{
	struct served *served = bpf_map_lookup_elem(&serving, from), copy;

	if (!served || served->several || !open_exchange(served)) {
		bpf_map_delete_elem(&serving, to);
		return;
	}
	copy = *served;
	bpf_map_update_elem(&serving, to, &copy, BPF_ANY);
}

#endif
