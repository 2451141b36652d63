/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proxies: a thread serves many connections. What it asks it asks by a socket that is one request's at a time,
 * which is the task.
 */
#ifndef OTEL_EBPF_TASK_SOCKET_H
#define OTEL_EBPF_TASK_SOCKET_H

#include "descriptor.h"
#include "endpoint.h"
#include "serving.h"

/* 0 where the socket is not known: of a TLS session whose socket is not. */
static __always_inline __u64 asking_socket(__u64 socket)
{
	return socket_inode((struct sock *)socket);
}

/* The socket whose descriptor stands at an address; NULL for none. */
static __always_inline struct sock *socket_at(__u64 address)
{
	__s32 descriptor = -1;

	if (bpf_probe_read_user(&descriptor, sizeof(descriptor), (void *)address) || descriptor < 0)
		return NULL;
	return socket_of((struct task_struct *)bpf_get_current_task(), descriptor);
}

/*
 * From now on what is asked by one socket is asked on behalf of the request that is open on another; on behalf
 * of none that is known, where there is none. Holds until the next such call, without which a proxy has no
 * socket serve another request.
 */
static __always_inline void ask_for(struct sock *asking, struct sock *asked_by)
{
	struct task task = { .process = bpf_get_current_pid_tgid() >> 32, .kind = TASK_RUNTIME };
	const struct connection *conn = asked_by ? find_connection((__u64)asked_by) : NULL;
	struct served served = {};

	task.id = asking ? asking_socket((__u64)asking) : 0;
	if (!task.id)
		return;
	if (!conn || !is_served(conn)) {
		bpf_map_delete_elem(&serving, &task);
		return;
	}
	served.socket = conn->record.header.socket;
	served.connection = conn->record.header.connection;
	served.offset = conn->record.header.offset;
	bpf_map_update_elem(&serving, &task, &served, BPF_ANY);
}

#endif
