// SPDX-License-Identifier: Apache-2.0
/*
 * Which request HAProxy works on when it asks another server: a stream has a connection to one, new or from a
 * pool, from sc_attach_mux on. Its connector leads to the stream, on to the session, and to the connection by
 * which that came.
 *
 * Source: stconn-t.h, stream-t.h, session-t.h and obj_type-t.h of HAProxy 2.6 to 3.2. Offsets that changed
 * are the file's own (runtimes/haproxy.py); each object says what it is in its first byte.
 */
#include "../core/task_socket.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

#define SESSION_ORIGIN 16 /* struct session.origin */

/* enum obj_type */
#define IS_CONNECTION 6
#define IS_CONNECTOR 8
#define IS_STREAM 9

static __always_inline bool is(__u8 wanted, __u64 object)
{
	return object && (__u8)user_word(object) == wanted;
}

static __always_inline struct sock *socket_of_connection(const struct runtime_control *haproxy,
							 __u64 connection)
{
	return is(IS_CONNECTION, connection) ? socket_at(connection + haproxy->haproxy.descriptor) : NULL;
}

/* The socket by which the request has come that a connector is for; NULL: it is for none. */
static __always_inline struct sock *asked_by(const struct runtime_control *haproxy, __u64 connector)
{
	__u64 stream = user_word(connector + haproxy->haproxy.application), session;

	if (!is(IS_CONNECTOR, connector) || !is(IS_STREAM, stream))
		return NULL;
	session = user_word(stream + haproxy->haproxy.session);
	return socket_of_connection(haproxy, user_word(session + SESSION_ORIGIN));
}

/* sc_attach_mux. Of a connection that is yet to be made, which has no socket, it is called again. */
SEC("?uprobe")
int haproxy_attaches(struct pt_regs *ctx)
{
	const struct runtime_control *haproxy = hit_runtime(ctx);

	if (!haproxy)
		return 0;
	ask_for(socket_of_connection(haproxy, ARGUMENT3(ctx)), asked_by(haproxy, ARGUMENT1(ctx)));
	return 0;
}
