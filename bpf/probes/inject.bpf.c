// SPDX-License-Identifier: Apache-2.0
/*
 * The client's sockets of selected processes, taken into a map of sockets when they have connected, and what
 * they send. The program that sees this may not name that map: the map has the program, and both would be there
 * for ever, when the agent is not. The one that fills the map may, as it hangs on a link of the agent's.
 */
/* Of what it shares with the hooks that count bytes it needs a part. */
#pragma clang diagnostic ignored "-Wunused-function"
#include "../core/inject.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

#define INJECTED_MAX 16384

/* Inserted when a connection is established; deleted by the kernel when it is closed, and by user space when it
 * was let go. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, INJECTED_MAX);
	__type(key, __u64); /* the address of the struct sock */
	__type(value, __u64);
} inject_sockets SEC(".maps");

static __always_inline __u64 number_of(const void *socket)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &socket);
	return number;
}

static __always_inline void on_connecting(__u64 socket)
{
	struct injecting fresh = { .state = INJECTING_CONNECTS };
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 tgid = BPF_CORE_READ(task, tgid);
	__u16 port = bpf_ntohs(BPF_CORE_READ((struct sock *)socket, __sk_common.skc_dport));

	if (selects(bpf_map_lookup_elem(&processes, &tgid), port) &&
	    bpf_map_update_elem(&injecting, &socket, &fresh, BPF_ANY))
		count_injected(INJECTED_FULL);
}

/* Whatever stands between this socket and TCP already, MPTCP or kernel TLS, wants it for itself. */
static __always_inline void on_connected(struct bpf_sock_ops *event, __u64 socket)
{
	struct injecting *known = bpf_map_lookup_elem(&injecting, &socket);

	if (!known || known->state != INJECTING_CONNECTS)
		return;
	known->state = INJECTING_LET_GO;
	if (!is_fit((struct sock *)socket))
		count_injected(INJECTED_UNFIT);
	else if (has_upper_protocol(socket))
		count_injected(INJECTED_UNKNOWN);
	else if (bpf_sock_hash_update(event, &inject_sockets, &socket, BPF_NOEXIST))
		count_injected(INJECTED_FULL);
	else
		known->state = INJECTING_OPEN;
}

SEC("?sockops")
int take_clients(struct bpf_sock_ops *event)
{
	const void *socket = event->sk;

	if (!socket)
		return 1;
	if (event->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		on_connecting(number_of(socket));
	else if (event->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		on_connected(event, number_of(socket));
	return 1;
}

SEC("?sk_msg")
int write_context(struct sk_msg_md *message)
{
	return on_message(message, number_of(message->sk));
}

SEC("?raw_tp/tcp_destroy_sock")
int forget_socket(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 socket = ctx->args[0];

	bpf_map_delete_elem(&injecting, &socket);
	return 0;
}
