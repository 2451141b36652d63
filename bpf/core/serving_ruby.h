/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which request a thread of CRuby's works on.
 *
 * Who has read it does not tell: Puma's reactor reads for its workers, and since Puma 7 a worker reads for
 * others too. But the server that works on a request begins with a question about its socket, in the thread that
 * then calls the application, and asks it at no other time while the request is open:
 *
 *  Puma     whether the client is still there: getsockopt(TCP_INFO), before each request (`closed_socket?`)
 *  WEBrick  who both ends are: getpeername, then getsockname, with the request's first bytes read (`parse`)
 *
 * What asks nothing of the like is not followed, as are servers of fibers, whose thread works on many: one that
 * is seen with two open requests in WEBrick's way is given up for good.
 *
 * Source: server.rb, request.rb and response.rb of Puma 5.6 and of its development branch in 2026;
 * httpserver.rb and httprequest.rb of WEBrick 1.8.
 */
#ifndef OTEL_EBPF_SERVING_RUBY_H
#define OTEL_EBPF_SERVING_RUBY_H

#include "descriptor.h"
#include "serving.h"

#define LEVEL_TCP 6 /* IPPROTO_TCP */
#define OPTION_INFO 11 /* TCP_INFO */
#define PUMA 0x616d7570 /* "puma" */

/* Whether requests are followed through the process; user space may have found that they cannot be. */
static __always_inline bool hit_ruby(struct pt_regs *ctx)
{
	const struct runtime_control *runtime = hit_runtime(ctx);

	return runtime && runtime->kind == RUNTIME_RUBY;
}

/* Whether the thread has a name that Puma gives its own. Ruby does so for a thread that runs one of its own and no
 * other, from its first to its last. */
static __always_inline bool is_puma(void)
{
	char name[16] = {};

	bpf_get_current_comm(name, sizeof(name));
	return *(__u32 *)name == PUMA && name[4] == ' ';
}

/* The connection behind a descriptor, if a request is open on it that nobody has begun to answer. */
static __always_inline struct connection *asked_on(__u32 descriptor)
{
	struct sock *sk = socket_of((struct task_struct *)bpf_get_current_task(), descriptor);
	struct connection *conn = sk ? find_connection((__u64)sk) : NULL;

	if (!conn || conn->record.header.role != ROLE_SERVER || conn->phase != PHASE_REQUEST)
		return NULL;
	return conn;
}

/* From now on the current thread works on a connection's request. `alone`: were it at work on another that is
 * open, it would be a thread that switches. */
static __always_inline void begin_serving(const struct connection *conn, bool alone)
{
	const struct record_header *header = &conn->record.header;
	__u64 both = bpf_get_current_pid_tgid();
	struct task task = { .process = both >> 32, .kind = TASK_THREAD, .id = (__u32)both };
	struct served *known = bpf_map_lookup_elem(&serving, &task);
	struct served fresh = { .socket = header->socket,
				.connection = header->connection,
				.offset = header->offset };

	if (alone && known)
		fresh.several = known->several || (known->socket != fresh.socket && open_exchange(known));
	bpf_map_update_elem(&serving, &task, &fresh, BPF_ANY);
}

#endif
