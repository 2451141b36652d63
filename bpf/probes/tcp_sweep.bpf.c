// SPDX-License-Identifier: Apache-2.0
/*
 * All sockets of TCP and UDP that processes have, in whatever network namespace, each with its process: an iterator
 * over the files of all tasks (5.8), run by user space. One over sockets (iter/tcp) knows neither the process nor
 * other namespaces than the reader's.
 */
#include "../core/tcp_visit.h"
#include "../core/udp_drops.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

SEC("?iter/task_file")
int sweep_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	__u32 zero = 0, *sweep = bpf_map_lookup_elem(&tcp_sweep, &zero);
	struct sock *sk;

	if (!task || !file || !sweep || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK ||
	    is_excluded(BPF_CORE_READ(task, tgid)))
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	sk = socket ? BPF_CORE_READ(socket, sk) : NULL;
	if (sk && network_tcp && is_tcp(sk))
		visit_socket(sk, task, *sweep);
	else if (sk && network_udp && is_udp(sk))
		visit_datagrams(sk, task);
	return 0;
}
