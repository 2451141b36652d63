/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uvloop: asyncio's event loop in C. What tells CPython's contexts apart holds there too (serving_python.h), but
 * for two things. It reads in no context, and then calls the protocol in one that all connections of a server
 * share: what is made in that call, and by that context, is the request's that was read. And what tasks write it
 * keeps, and sends later in no context: so who writes to a socket is noted where it is kept.
 *
 * Source: handles/stream.pyx and loop.pyx of uvloop 0.23, uv.h and uv/unix.h of libuv 1.x.
 */
#ifndef OTEL_EBPF_SERVING_UVLOOP_H
#define OTEL_EBPF_SERVING_UVLOOP_H

#include "serving_python.h"

#define STREAM_HANDLE 24 /* UVHandle._handle, the first field of its class */
#define HANDLE_DATA 0 /* uv_handle_t.data: leads back */
#define HANDLE_DESCRIPTOR 184 /* uv_stream_t.io_watcher.fd */

/* The process's runtime, if its contexts are followed. */
static __always_inline struct runtime_control *hit_uvloop(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct runtime_control *runtime = bpf_map_lookup_elem(&runtimes, &tgid);

	if (!runtime || runtime->kind != RUNTIME_PYTHON)
		return NULL;
	__sync_fetch_and_add(&runtime->hits, 1);
	runtime->python.uvloop = 1;
	return runtime;
}

/* The protocol is about to be called in a context: with what was read just now, if anything was. */
static __always_inline void read_begins(__u64 context)
{
	struct task key = context_task(read_by_thread());
	struct served *read;

	key.kind = TASK_CONNECTION;
	read = bpf_map_lookup_elem(&serving, &key);
	if (!read)
		return;
	if (read->how == SERVED_PENDING) {
		read->since = context;
		read->how = SERVED_RECEIVED;
	} else {
		bpf_map_delete_elem(&serving, &key);
	}
}

static __always_inline void read_ends(void)
{
	struct task key = context_task(read_by_thread());

	key.kind = TASK_CONNECTION;
	bpf_map_delete_elem(&serving, &key);
}

/* The socket of a stream; NULL where what is there is none. */
static __always_inline struct sock *socket_of_stream(__u64 stream)
{
	__u64 handle = user_word(stream + STREAM_HANDLE);

	if (!handle || user_word(handle + HANDLE_DATA) != stream)
		return NULL;
	return socket_of((struct task_struct *)bpf_get_current_task(), user_word(handle + HANDLE_DESCRIPTOR));
}

/* The current context writes to a stream: what it asks by it, it asks for what it works on. */
static __always_inline void stream_written(struct runtime_control *runtime, __u64 stream)
{
	struct task task = python_thread();
	struct python_context *context;
	struct connection *conn = NULL;
	struct served served = {};
	struct sock *sk = socket_of_stream(stream);

	if (!sk)
		return;
	task.id = current_context(runtime, &task);
	task.kind = TASK_RUNTIME;
	context = bpf_map_lookup_elem(&python_contexts, &task);
	if (context)
		conn = context_serves(context, runtime, &task, true);
	task.kind = TASK_RUNTIME;
	task.id = asking_socket((__u64)sk);
	if (!conn) {
		bpf_map_delete_elem(&serving, &task);
		return;
	}
	served.socket = conn->record.header.socket;
	served.connection = conn->record.header.connection;
	served.offset = conn->record.header.offset;
	bpf_map_update_elem(&serving, &task, &served, BPF_ANY);
}

#endif
