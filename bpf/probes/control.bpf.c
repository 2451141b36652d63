// SPDX-License-Identifier: Apache-2.0
/*
 * What user space asks of the kernel side. Never attached: run by BPF_PROG_TEST_RUN, which takes
 * raw tracepoint programs since 5.10 (1b4d60ec162f), and so under the same locks as the hooks.
 */
#include "../core/walk.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* The calling process is the agent: it is not traced, nor is the other end of its connections. */
SEC("?raw_tp")
int exclude_caller(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 zero = 0, tgid = bpf_get_current_pid_tgid() >> 32;
	struct process_control self = { .verdict = VERDICT_OFF, .announced = 1 };

	bpf_map_update_elem(&processes, &tgid, &self, BPF_ANY);
	bpf_map_update_elem(&agent_process, &zero, &tgid, BPF_ANY);
	return 0;
}

/* args: socket, connection, enum connection_mode. A socket that is another connection by now is
 * left alone. */
SEC("?raw_tp")
int set_mode(struct bpf_raw_tracepoint_args *ctx)
{
	struct connection *conn = find_connection(ctx->args[0]);
	struct call *call = this_call(true);
	__u32 mode = ctx->args[2];

	if (!conn || !call || conn->record.header.connection != ctx->args[1] || !wait_lock(conn))
		return 0;
	if (mode == MODE_STREAM && conn->mode == MODE_EXCHANGE)
		switch_to_stream(conn, call, conn->record.request_bytes, conn->record.request_captured);
	if (mode == MODE_IGNORED && conn->phase != PHASE_IDLE) {
		account(LEDGER_EXCHANGE_IGNORED);
		conn->phase = PHASE_IDLE;
	}
	if (mode != MODE_EXCHANGE && conn->record.header.role == ROLE_SERVER)
		distrust(conn->record.header.process);
	conn->mode = mode;
	release(conn);
	return 0;
}

/* args: ns of silence, ns to forget, whether to count active requests. For kernels without
 * bpf_for_each_map_elem: one socket, args[3]. */
SEC("?raw_tp")
int visit_one(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 zero = 0;
	struct connection *conn = find_connection(ctx->args[3]);
	struct walk *walk = bpf_map_lookup_elem(&walks, &zero);

	if (!conn || !walk)
		return 0;
	walk->now = bpf_ktime_get_boot_ns();
	walk->silence = ctx->args[0];
	walk->forget = ctx->args[1];
	walk->count_active = ctx->args[2];
	visit(conn, walk);
	return 0;
}

#ifndef BASELINE /* bpf_for_each_map_elem: 5.13 (69c087ba6225) */
static long visit_each(void *map, const void *key, struct connection *conn, struct walk *walk)
{
	visit(conn, walk);
	return 0;
}

/* args: as visit_one's; whether to look only where something may be due. */
SEC("?raw_tp")
int visit_all(struct bpf_raw_tracepoint_args *ctx)
{
	struct walk walk = { .now = bpf_ktime_get_boot_ns(),
			     .silence = ctx->args[0],
			     .forget = ctx->args[1],
			     .count_active = ctx->args[2] };
	__u32 zero = 0;

	if (!exchange_awaiting(false) && ctx->args[3])
		return 0;
	bpf_for_each_map_elem(&connections, visit_each, &walk, 0);
	bpf_map_update_elem(&walks, &zero, &walk, BPF_ANY);
	return 0;
}
#endif
