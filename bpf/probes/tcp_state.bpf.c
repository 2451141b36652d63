// SPDX-License-Identifier: Apache-2.0
/* The ends of TCP connections: the tracepoints inet_sock_set_state and tcp_destroy_sock (4.16), two
 * ways to attach to them. */
#include "../core/lifecycle.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

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

SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy_btf, struct sock *sk)
{
	on_destroy(sk);
	return 0;
}

SEC("?raw_tp/tcp_destroy_sock")
int destroy_raw(struct bpf_raw_tracepoint_args *ctx)
{
	on_destroy((struct sock *)ctx->args[0]);
	return 0;
}
