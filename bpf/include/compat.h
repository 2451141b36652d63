/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel quirk, with the commit or release that made or ended it. The floor is 5.10. */
#ifndef OTEL_EBPF_COMPAT_H
#define OTEL_EBPF_COMPAT_H

#include "kernel.h"

/* Keeps the compiler from using what it knows of a value, so that the bounds check that the
 * verifier needs stays where it was written. */
/* Bounds are 64 bits wide: without 32-bit jumps (-mcpu=v2) the compiler checks a shifted copy of a
 * narrower value, and the verifier does not connect the two. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

/* A function that is part of its callers where new kernels alone load the object, since a call costs
 * 8 ns; apart where old ones do, whose verifiers tell more states apart and add up more stack. */
#ifdef TRUSTED_SOCKETS
#define INLINE_IF_NEW __always_inline
#else
#define INLINE_IF_NEW __noinline
#endif

/* Keeps the verifier from using what it knows of a value: what it takes for alike is walked once. `place`
 * is in a map, and a few cycles away. */
#define THROUGH_MEMORY(place, value) \
	(*(volatile typeof(place) *)&(place) = (value), *(volatile typeof(place) *)&(place))

/* Compare-and-swap came with 5.12 (5ffa25502b5a); 5.10 refuses the instruction even in dead code.
 * Objects are therefore built twice: for -mcpu=v3 with it, for -mcpu=v2 without (BASELINE).
 * There two CPUs that work on one connection at the same instant are not kept apart. */
#ifdef BASELINE
#define COMPARE_AND_SWAP(pointer, old, new) ((void)(pointer), (old))
#define EXCHANGE(pointer, new) \
	({ \
		typeof(*(pointer)) old = *(pointer); \
		*(pointer) = (new); \
		old; \
	})
#else
#define COMPARE_AND_SWAP(pointer, old, new) __sync_val_compare_and_swap(pointer, old, new)
#define EXCHANGE(pointer, new) __sync_lock_test_and_set(pointer, new) /* a full barrier too */
#endif

/* The number that came with a probe in user space: 5.15 (82e6b1eee6a8). 0 is none. */
#ifdef BASELINE
#define ATTACH_COOKIE(ctx) ((void)(ctx), 0ULL)
#else
#define ATTACH_COOKIE(ctx) bpf_get_attach_cookie(ctx)
#endif

#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 0x0002 /* arch/x86/include/asm/thread_info.h */
static __always_inline bool called_by_32_bit(struct task_struct *task)
{
	return REGISTER(task, thread_info.status) & TS_COMPAT;
}

static __always_inline __u32 argument1_of_32_bit(struct pt_regs *regs)
{
	return REGISTER(regs, bx);
}
#else
static __always_inline bool called_by_32_bit(struct task_struct *task)
{
	return false; /* 32-bit callers on arm64 are not told apart yet */
}

static __always_inline __u32 argument1_of_32_bit(struct pt_regs *regs)
{
	return SYSCALL_ARGUMENT1(regs);
}
#endif

/* The registers of the system call that the current task is in; NULL where they are not found. The helper that
 * finds them is of 5.15 (dd6e10fbd9fb). Before, they are looked for where it looks: at the end of the task's stack,
 * whose size the kernel knows from its allocation, an unused page behind it included. */
static __always_inline struct pt_regs *current_registers(struct task_struct **task)
{
	struct vm_struct *area;
	unsigned long size;

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
		*task = bpf_get_current_task_btf();
		return (struct pt_regs *)bpf_task_pt_regs(*task);
	}
	*task = (struct task_struct *)bpf_get_current_task();
	if (!bpf_core_field_exists((*task)->stack_vm_area))
		return NULL; /* CONFIG_VMAP_STACK is off */
	area = BPF_CORE_READ(*task, stack_vm_area);
	size = BPF_CORE_READ(area, size);
	size -= size / (BPF_CORE_READ(area, nr_pages) + 1);
	return BPF_CORE_READ(*task, stack) + size - bpf_core_type_size(struct pt_regs);
}

/* What a socket has dropped. UDP's counts apart for pairs of NUMA nodes from 6.18 on. */
static __always_inline __u32 drops_of(struct sock *sk)
{
	struct numa_drop_counters *counters;

	if (bpf_core_field_exists(sk->sk_drop_counters)) {
		counters = BPF_CORE_READ(sk, sk_drop_counters);
		if (counters)
			return BPF_CORE_READ(counters, drops0.counter) +
			       BPF_CORE_READ(counters, drops1.counter);
	}
	return BPF_CORE_READ(sk, sk_drops.counter);
}

/* Which buffers an iov_iter names: numbering and encoding changed in 5.14 and 6.4. */
enum iterator_kind {
	ITERATOR_FLAT, /* one user buffer, from 6.0 (fcb14cb1bdac) */
	ITERATOR_USER, /* user iovecs */
	ITERATOR_KERNEL, /* kernel iovecs */
	ITERATOR_OTHER, /* pages, pipes: not readable here */
};

static __always_inline enum iterator_kind iterator_kind(const struct iov_iter *iter)
{
	if (bpf_core_field_exists(struct iov_iter, iter_type)) {
		__u8 type = BPF_CORE_READ(iter, iter_type);

		if (bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
		    type == bpf_core_enum_value(enum iter_type, ITER_UBUF))
			return ITERATOR_FLAT;
		if (type == bpf_core_enum_value(enum iter_type, ITER_IOVEC))
			return ITERATOR_USER;
		if (type == bpf_core_enum_value(enum iter_type, ITER_KVEC))
			return ITERATOR_KERNEL;
	} else {
		unsigned int type = BPF_CORE_READ((const struct iov_iter___flags *)iter, type);

		if (type & 4) /* ITER_IOVEC, include/linux/uio.h of 5.10 */
			return ITERATOR_USER;
		if (type & 8) /* ITER_KVEC */
			return ITERATOR_KERNEL;
	}
	return ITERATOR_OTHER;
}

static __always_inline const struct iovec *iterator_vector(const struct iov_iter *iter)
{
	if (bpf_core_field_exists(struct iov_iter, __iov))
		return BPF_CORE_READ(iter, __iov);
	return BPF_CORE_READ((const struct iov_iter___iov *)iter, iov);
}

#endif
