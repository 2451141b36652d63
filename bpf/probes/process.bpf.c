// SPDX-License-Identifier: Apache-2.0
/* The lives of processes: scheduler tracepoints that all kernels have. */
#include "../core/lifecycle.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	on_fork((struct task_struct *)ctx->args[0], (struct task_struct *)ctx->args[1]);
	return 0;
}

SEC("?raw_tp/sched_process_exec")
int process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	on_exec((struct task_struct *)ctx->args[0]);
	return 0;
}

SEC("?raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	on_exit((struct task_struct *)ctx->args[0]);
	return 0;
}
