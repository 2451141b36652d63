/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the memory of the current process. */
#ifndef OTEL_EBPF_USER_MEMORY_H
#define OTEL_EBPF_USER_MEMORY_H

#include "../include/kernel.h"

/* 0 where nothing is mapped. */
static __always_inline __u64 user_word(__u64 address)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

#endif
