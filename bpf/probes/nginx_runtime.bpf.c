// SPDX-License-Identifier: Apache-2.0
/*
 * Which request nginx works on when it asks another server: whatever a request sends upstream goes through
 * ngx_chain_writer, whose context leads to the socket by which it will leave, and on to the request and to
 * the socket by which that came.
 *
 * Source: ngx_buf.h, ngx_connection.h and ngx_http_request.h of nginx: no field up to these has changed since
 * 1.0.
 */
#include "../core/task_socket.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

#define WRITER_CONNECTION 16 /* ngx_chain_writer_ctx_t.connection */
#define CONNECTION_DATA 0 /* ngx_connection_t.data: of a connection to another server, the request */
#define CONNECTION_DESCRIPTOR 24 /* ngx_connection_t.fd */
#define REQUEST_SIGNATURE 0 /* ngx_http_request_t.signature */
#define REQUEST_CONNECTION 8 /* ngx_http_request_t.connection; a subrequest's is the main request's */
#define IS_HTTP 0x50545448 /* "HTTP" */

/* The socket by which the request has come that an upstream connection is for; NULL: it is for none. */
static __always_inline struct sock *asked_by(__u64 upstream)
{
	__u64 request = user_word(upstream + CONNECTION_DATA);

	if ((__u32)user_word(request + REQUEST_SIGNATURE) != IS_HTTP)
		return NULL;
	return socket_at(user_word(request + REQUEST_CONNECTION) + CONNECTION_DESCRIPTOR);
}

/* ngx_chain_writer. */
SEC("?uprobe")
int nginx_sends(struct pt_regs *ctx)
{
	__u64 upstream;

	if (!hit_runtime(ctx))
		return 0;
	upstream = user_word(ARGUMENT1(ctx) + WRITER_CONNECTION);
	ask_for(socket_at(upstream + CONNECTION_DESCRIPTOR), asked_by(upstream));
	return 0;
}
