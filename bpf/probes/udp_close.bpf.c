// SPDX-License-Identifier: Apache-2.0
/* The end of UDP sockets: there is no tracepoint, but cgroups are asked when an internet socket is closed (5.9,
 * f5836749c9c0), in the process that closes it. */
#include "../core/udp_drops.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?cgroup/sock_release")
int udp_closes(struct bpf_sock *closed)
{
	struct sock *sk;

	if (closed->protocol != IPPROTO_UDP)
		return 1;
	bpf_probe_read_kernel(&sk, sizeof(sk), &closed);
	if (is_udp(sk))
		on_udp_closed(sk);
	return 1;
}
