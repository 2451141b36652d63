// SPDX-License-Identifier: Apache-2.0
/* How TCP connections begin and end: the tracepoints inet_sock_set_state and tcp_destroy_sock (4.16), two
 * ways to attach to them. TCP's health shares them: a change of state runs one program. */
#include "../core/lifecycle.h"
#include "../core/tcp_watch.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

static __always_inline void state_changed(struct sock *sk, int from, int to)
{
	if (network_tcp)
		on_tcp_state(sk, from, to);
	on_state(sk, from, to);
}

static __always_inline void destroyed(struct sock *sk)
{
	if (network_tcp)
		on_tcp_destroyed(sk);
	on_destroy(sk);
}

SEC("?tp_btf/inet_sock_set_state")
int BPF_PROG(state_btf, struct sock *sk, int from, int to)
{
	state_changed(sk, from, to);
	return 0;
}

SEC("?raw_tp/inet_sock_set_state")
int state_raw(struct bpf_raw_tracepoint_args *ctx)
{
	state_changed((struct sock *)ctx->args[0], (int)ctx->args[1], (int)ctx->args[2]);
	return 0;
}

SEC("?tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy_btf, struct sock *sk)
{
	destroyed(sk);
	return 0;
}

SEC("?raw_tp/tcp_destroy_sock")
int destroy_raw(struct bpf_raw_tracepoint_args *ctx)
{
	destroyed((struct sock *)ctx->args[0]);
	return 0;
}
