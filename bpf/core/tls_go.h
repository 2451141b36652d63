/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of Go's crypto/tls, which are a goroutine's and not a thread's. */
#ifndef OTEL_EBPF_TLS_GO_H
#define OTEL_EBPF_TLS_GO_H

#include "tls_library.h"

/* Go keeps the connection that a tls.Conn wraps: (*tls.Conn).conn, an interface, whose value is a
 * *net.TCPConn, whose first word is a *netFD, whose pfd.Sysfd stands behind a lock of two words. Anything
 * else that is wrapped leads to no socket, or to none that is encrypted. */
#define GO_INTERFACE_VALUE 8
#define GO_DESCRIPTOR 16

static __always_inline struct sock *go_socket(__u64 tls_conn)
{
	__u64 connection = 0, descriptor_of = 0;
	__s32 descriptor = -1;

	bpf_probe_read_user(&connection, sizeof(connection), (void *)(tls_conn + GO_INTERFACE_VALUE));
	bpf_probe_read_user(&descriptor_of, sizeof(descriptor_of), (void *)connection);
	bpf_probe_read_user(&descriptor, sizeof(descriptor), (void *)(descriptor_of + GO_DESCRIPTOR));
	return descriptor < 0 ? NULL : socket_of((struct task_struct *)bpf_get_current_task(), descriptor);
}

static __always_inline void enter_go(__u64 goroutine, __u64 tls_conn, __u64 buffer)
{
	struct tls_call call = {
		.session = tls_conn, .buffer = buffer, .kind = TLS_READS, .entered = bpf_ktime_get_boot_ns()
	};

	enter_library(goroutine, &call);
}

static __always_inline void pass_go(struct pt_regs *ctx, struct tls_call *call, long length)
{
	call->socket = (__u64)go_socket(call->session);
	call->method = call->socket ? TLS_METHOD_API : TLS_METHOD_NONE;
	if (length > 0)
		pass(ctx, call, length);
}

static __always_inline void leave_go(struct pt_regs *ctx)
{
	struct tls_call call;

	if (take_call(GO_GOROUTINE(ctx), &call))
		pass_go(ctx, &call, GO_WORD1(ctx));
}

/* A server's next request may be read, by another goroutine, before the write of its response returns:
 * so what is written counts from the start. */
static __always_inline void write_go(struct pt_regs *ctx)
{
	struct tls_call call = { .session = GO_WORD1(ctx),
				 .buffer = GO_WORD2(ctx),
				 .kind = TLS_WRITES,
				 .entered = bpf_ktime_get_boot_ns() };

	if (!refuse_plaintext())
		pass_go(ctx, &call, GO_WORD3(ctx));
}

#endif
