// SPDX-License-Identifier: Apache-2.0
/* A program that no verifier accepts: it reads through a pointer that nobody checked. */
#include "../../../bpf/core/settings.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("?raw_tp/sched_process_exit")
int reads_anything(struct bpf_raw_tracepoint_args *ctx)
{
	return *(volatile int *)(ctx->args[0] + 4096);
}
