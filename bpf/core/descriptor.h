/* SPDX-License-Identifier: Apache-2.0 */
/* From a file descriptor of the current process to its socket. */
#ifndef OTEL_EBPF_DESCRIPTOR_H
#define OTEL_EBPF_DESCRIPTOR_H

#include "../include/kernel.h"

static __always_inline struct sock *socket_of(struct task_struct *task, __u32 descriptor)
{
	struct fdtable *table = REGISTERS_ARE_FREE ? task->files->fdt : BPF_CORE_READ(task, files, fdt);
	struct file **slots, *file = NULL;
	struct socket *socket;

	if (descriptor >= REGISTER(table, max_fds))
		return NULL;
	slots = REGISTER(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[descriptor]);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

#endif
