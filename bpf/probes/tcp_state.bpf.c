// SPDX-License-Identifier: Apache-2.0
/* The ends of TCP connections: the tracepoint inet_sock_set_state (4.16), two ways to attach to it. */
#include "../core/lifecycle.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(state_btf, struct sock *sk, int from, int to)
{
	on_state(sk, to);
	return 0;
}

SEC("?raw_tp/inet_sock_set_state")
int state_raw(struct bpf_raw_tracepoint_args *ctx)
{
	on_state((struct sock *)ctx->args[0], (int)ctx->args[2]);
	return 0;
}
