/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which request a context of CPython's works on.
 *
 * A context that is made on behalf of an open request is that request's for good, and so are those made by it:
 * when the request is answered, they work on nothing.
 *
 * What is made earlier, when a connection is accepted, serves the connection: whatever request is open on it.
 * Who reads a request tells which contexts those are. Event loops make them anew for each connection, so that
 * the reader's ancestor that was made last before the connections part is the first that is younger than the
 * connection. A context that is older serves several, and what it reads tells nothing: so it is with uvloop,
 * and in a thread that runs no event loop.
 */
#ifndef OTEL_EBPF_SERVING_PYTHON_H
#define OTEL_EBPF_SERVING_PYTHON_H

#include "serving.h"
#include "task_python.h"
#include "task_socket.h"

#define ANCESTORS 4
#define ANCESTORS_OF_READER 2 /* asyncio: the accepting task's context, a callback's, the reader's */

/* What serves a connection without reading its requests is believed once so many were read in its process, and
 * it has not asked others while none was open: it may go on after an answer, and be at work on the last request
 * when the next one is there. */
#define TRUST_EARNED 16
#define TRUST_NEVER (~0U)

struct python_context {
	__u64 born; /* time; what tells contexts apart that have the same address one after the other */
	__u64 ancestors[ANCESTORS]; /* when they were born, who made it first; 0: not known */
	__u64 root; /* when the ancestor was born that serves a connection; 0: it was not known yet */
	__u32 pinned; /* it works on `served` and on nothing else */
	__u32 reads; /* it reads the requests itself, and works on none before it has */
	struct served served;
};

/* Inserted by the probe on what makes contexts, deleted by the one on their end. LRU: processes end with
 * contexts that nobody ends. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct task);
	__type(value, struct python_context);
} python_contexts SEC(".maps");

/* Contexts that serve a connection, they and their descendants. Inserted where a request is read. LRU. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct task);
	__type(value, struct served); /* without an offset */
} python_roots SEC(".maps");

static __always_inline struct task context_task(__u64 context)
{
	return (struct task){ .process = bpf_get_current_pid_tgid() >> 32,
			      .kind = TASK_RUNTIME,
			      .id = context };
}

/* `task` is only a place for keys: so many bytes less of the stack. */
static __always_inline struct served *root_of(struct task *task, __u64 born)
{
	task->kind = TASK_CONNECTION;
	task->id = born;
	return born ? bpf_map_lookup_elem(&python_roots, task) : NULL;
}

/* The connection that a context's ancestors serve. */
static __always_inline struct served *served_connection(struct python_context *context, struct task *task)
{
	struct served *root = root_of(task, context->root ? context->root : context->born);

	for (int i = 0; i < ANCESTORS && !root && !context->root; i++)
		root = root_of(task, context->ancestors[i]);
	if (!root)
		return NULL;
	context->root = task->id; /* for descendants further down */
	return root->several ? NULL : root;
}

/* The connection on which a context's request is open, NULL where none is. `asks` where the context is about
 * to ask others. */
static __always_inline struct connection *
context_serves(struct python_context *context, struct runtime_control *runtime, struct task *task, bool asks)
{
	struct served *root;
	struct connection *conn;

	if (context->pinned)
		return open_exchange(&context->served);
	root = served_connection(context, task);
	if (!root || (runtime->trust != TRUST_EARNED && !context->reads))
		return NULL;
	conn = find_connection(root->socket);
	if (!conn || conn->record.header.connection != root->connection ||
	    conn->record.header.role != ROLE_SERVER)
		return NULL;
	if (conn->phase != PHASE_IDLE)
		return is_served(conn) ? conn : NULL;
	/* It goes on after the answer, and may do so when the next request is there: nothing can be told. */
	if (asks && !context->reads)
		runtime->trust = TRUST_NEVER;
	return NULL;
}

/* The socket of the connection whose request the current context works on, else the source of a context that
 * has no parent. `sending`: by which it asks. Global, so that the verifier walks it once. */
__noinline __u64 python_serves(__u64 sending)
{
	struct task task = python_thread();
	struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &task.process);
	struct python_context *context;
	struct connection *conn;

	if (!runtime || runtime->kind != RUNTIME_PYTHON)
		return CONTEXT_ROOT;
	task.id = current_context(runtime, &task);
	task.kind = TASK_RUNTIME;
	context = bpf_map_lookup_elem(&python_contexts, &task);
	conn = context ? context_serves(context, runtime, &task, true) : NULL;
	if (conn)
		return conn->record.header.socket;
	if (context && context->pinned)
		return CONTEXT_ANSWERED;
	if (!runtime->python.uvloop)
		return CONTEXT_ROOT;
	task.kind = TASK_RUNTIME;
	task.id = asking_socket(sending); /* serving_uvloop.h */
	return socket_or_reason(bpf_map_lookup_elem(&serving, &task));
}

/* Which of a reader and its ancestors serve the connection and no other: the oldest that is younger. */
static __always_inline __u64 root_for(const struct python_context *reader, __u64 established)
{
	__u64 root = reader->born >= established ? reader->born : 0;

	for (int i = 0; i < ANCESTORS_OF_READER && root; i++) {
		if (reader->ancestors[i] < established)
			break;
		root = reader->ancestors[i];
	}
	return root;
}

/* What the current thread has read last, in a map of other tasks: only a key. */
static __always_inline __u64 read_by_thread(void)
{
	return 1ULL << 63 | (__u32)bpf_get_current_pid_tgid();
}

/* The current context has read the beginning of a request. Global for the same reason. */
__noinline int python_reads(__u64 socket)
{
	struct task task = python_thread();
	struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &task.process);
	struct connection *conn = find_connection(socket);
	struct python_context *reader;
	struct served fresh = {}, *known;

	if (!runtime || !conn || !conn->established)
		return 0;
	task.id = current_context(runtime, &task);
	task.kind = TASK_RUNTIME;
	reader = bpf_map_lookup_elem(&python_contexts, &task);
	task.id = reader ? root_for(reader, conn->established) : 0;
	task.kind = TASK_CONNECTION;
	fresh.socket = socket;
	fresh.connection = conn->record.header.connection;
	if (!task.id) {
		/* What is decrypted was read before, perhaps by another call. */
		if (!runtime->python.uvloop || conn->tls.phase != TLS_NONE)
			return 0;
		fresh.offset = conn->record.header.offset;
		fresh.how = SERVED_PENDING;
		task.id = read_by_thread();
		bpf_map_update_elem(&serving, &task, &fresh, BPF_ANY);
		return 0;
	}
	known = bpf_map_lookup_elem(&python_roots, &task);
	if (!known)
		bpf_map_update_elem(&python_roots, &task, &fresh, BPF_NOEXIST);
	else if (known->connection != fresh.connection)
		known->several = 1;
	/* Who resumes reading on behalf of a request reads the next ones too. */
	reader->pinned = 0;
	reader->root = task.id;
	reader->reads = 1;
	if (runtime->trust < TRUST_EARNED)
		runtime->trust++;
	return 0;
}

/* The request of which uvloop has just read something, in a call that is not over: what the called makes in the
 * context in which it is called is that request's. */
static __always_inline struct connection *read_in(__u64 context)
{
	struct task key = context_task(read_by_thread());
	const struct served *read;

	key.kind = TASK_CONNECTION;
	read = bpf_map_lookup_elem(&serving, &key);
	return read && read->how == SERVED_RECEIVED && read->since == context ? open_exchange(read) : NULL;
}

/* A context was made by the one that is current. */
static __always_inline void context_made(struct runtime_control *runtime, __u64 address)
{
	struct task thread = python_thread(), made = context_task(address);
	__u64 current = current_context(runtime, &thread);
	struct task task = context_task(current); /* and a place for other keys */
	struct python_context fresh = { .born = bpf_ktime_get_boot_ns() }, *maker;
	struct connection *conn = NULL;

	maker = bpf_map_lookup_elem(&python_contexts, &task);
	if (maker) {
		fresh.ancestors[0] = maker->born;
		for (int i = 1; i < ANCESTORS; i++)
			fresh.ancestors[i] = maker->ancestors[i - 1];
		fresh.root = maker->root;
		fresh.pinned = maker->pinned;
		fresh.served = maker->served;
		conn = context_serves(maker, runtime, &task, false);
	}
	if (!conn)
		conn = served_by(&thread);
	if (!conn && runtime->python.uvloop)
		conn = read_in(current);
	if (conn) {
		fresh.pinned = 1;
		fresh.served.socket = conn->record.header.socket;
		fresh.served.connection = conn->record.header.connection;
		fresh.served.offset = conn->record.header.offset;
	}
	bpf_map_update_elem(&python_contexts, &made, &fresh, BPF_ANY);
}

static __always_inline void context_gone(__u64 address)
{
	struct task gone = context_task(address);
	const struct python_context *context = bpf_map_lookup_elem(&python_contexts, &gone);
	struct task root = { .process = gone.process, .kind = TASK_CONNECTION };

	if (!context)
		return;
	root.id = context->born;
	bpf_map_delete_elem(&python_roots, &root);
	bpf_map_delete_elem(&python_contexts, &gone);
}

#endif
