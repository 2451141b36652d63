// SPDX-License-Identifier: Apache-2.0
/* Which request a thread of CRuby's begins to work on: what its socket.so asks of the C library. */
#include "../core/serving_ruby.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* getsockopt. */
SEC("?uprobe")
int ruby_option(struct pt_regs *ctx)
{
	struct connection *conn;

	if (!hit_ruby(ctx) || (__u32)ARGUMENT2(ctx) != LEVEL_TCP || (__u32)ARGUMENT3(ctx) != OPTION_INFO)
		return 0;
	if (!is_puma())
		return 0;
	conn = asked_on(ARGUMENT1(ctx));
	if (conn)
		begin_serving(conn, false);
	return 0;
}

/* getpeername. */
SEC("?uprobe")
int ruby_peer(struct pt_regs *ctx)
{
	struct connection *conn = hit_ruby(ctx) ? asked_on(ARGUMENT1(ctx)) : NULL;

	if (conn)
		conn->named_by = (__u32)bpf_get_current_pid_tgid();
	return 0;
}

/* getsockname. */
SEC("?uprobe")
int ruby_name(struct pt_regs *ctx)
{
	struct connection *conn = hit_ruby(ctx) ? asked_on(ARGUMENT1(ctx)) : NULL;

	if (!conn || conn->named_by != (__u32)bpf_get_current_pid_tgid())
		return 0;
	conn->named_by = 0;
	begin_serving(conn, true);
	return 0;
}
