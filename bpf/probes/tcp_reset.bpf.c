// SPDX-License-Identifier: Apache-2.0
/* Connections that are reset: the tracepoints tcp_send_reset and tcp_receive_reset (4.16), two ways to
 * attach to them. */
#include "../core/tcp_reset.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?tp_btf/tcp_send_reset")
int BPF_PROG(sent_btf, struct sock *sk)
{
	on_reset_sent(sk);
	return 0;
}

SEC("?raw_tp/tcp_send_reset")
int sent_raw(struct bpf_raw_tracepoint_args *ctx)
{
	on_reset_sent((struct sock *)ctx->args[0]);
	return 0;
}

SEC("?tp_btf/tcp_receive_reset")
int BPF_PROG(received_btf, struct sock *sk)
{
	on_reset_received(sk);
	return 0;
}

SEC("?raw_tp/tcp_receive_reset")
int received_raw(struct bpf_raw_tracepoint_args *ctx)
{
	on_reset_received((struct sock *)ctx->args[0]);
	return 0;
}
