/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few kernel structs that are read, and of each only the fields that are read. Offsets are
 * relocated when an object is loaded (CO-RE), so neither order nor completeness matters here.
 */
#ifndef OTEL_EBPF_KERNEL_H
#define OTEL_EBPF_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport; /* network order */
	__u16 skc_num; /* host order */
	__u32 skc_portpair; /* both of these */
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags; /* by enum sock_flags */
};

struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct file;

struct socket {
	struct file *file;
	struct sock *sk;
};

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

typedef struct {
	int owned; /* by a system call, which holds the socket while it changes it */
} socket_lock_t;

typedef struct {
	int counter;
} atomic_t;

struct numa_drop_counters {
	atomic_t drops0;
	atomic_t drops1;
};

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	atomic_t sk_drops;
	struct numa_drop_counters *sk_drop_counters;
	__u8 sk_userlocks;
	__u8 sk_shutdown;
	struct socket *sk_socket;
	__u16 sk_type;
	__u16 sk_protocol;
	int sk_err;
};

enum sock_flags {
	SOCK_ZEROCOPY,
};

struct inet_connection_sock {
	const void *icsk_ulp_ops; /* of a protocol above TCP: kernel TLS */
	struct {
		__u32 lrcvtime; /* jiffies: of the last segment with data */
	} icsk_ack;
};

struct minmax_sample {
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3]; /* the first is the one */
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 snd_una;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 srtt_us; /* eighths of a microsecond */
	struct minmax rtt_min; /* us, of net.ipv4.tcp_min_rtt_wlen seconds; all ones: never measured */
	__u32 total_retrans;
	__u64 tcp_mstamp; /* us, CLOCK_MONOTONIC: of what TCP did last */
	__u32 lsndtime; /* jiffies */
};

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct iovec {
	void *iov_base;
	unsigned long iov_len;
};

/* From 5.14 iter_type is a byte; the union of pointers is anonymous throughout. */
struct iov_iter {
	__u8 iter_type;
	unsigned long iov_offset;
	const struct iovec *__iov;
	void *ubuf;
	unsigned long nr_segs;
};

/* Before 6.4 (747b1f65d39a) the member was called iov. */
struct iov_iter___iov {
	const struct iovec *iov;
};

/* Before 5.14 (8cd54c1c8480) the kind was a flag word. */
struct iov_iter___flags {
	unsigned int type;
};

struct msghdr {
	struct iov_iter msg_iter;
};

enum iter_type {
	ITER_UBUF,
	ITER_IOVEC,
	ITER_KVEC,
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_flags;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

struct signal_struct {
	struct {
		int counter;
	} live;
};

typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t uid;
};

struct thread_info {
	__u32 status;
};

#if defined(__TARGET_ARCH_x86)
struct thread_struct {
	unsigned long fsbase;
};
#define THREAD_POINTER(task) BPF_CORE_READ(task, thread.fsbase)
#else
struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
};
#define THREAD_POINTER(task) BPF_CORE_READ(task, thread.uw.tp_value)
#endif

struct kernfs_node {
	const char *name;
};

struct cgroup;
struct cgroup_root;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	int level; /* 0 at the root */
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1]; /* as many as the kernel has controllers */
	struct cgroup *dfl_cgrp;
};

struct vm_struct {
	unsigned long size;
	unsigned int nr_pages;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	struct vm_struct *stack_vm_area;
	unsigned int flags;
	int pid;
	int tgid;
	__u64 start_boottime;
	__u64 self_exec_id; /* programs that it has executed */
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct files_struct *files;
	struct signal_struct *signal;
	const struct cred *cred;
	struct css_set *cgroups;
	char comm[16];
	struct thread_struct thread;
};

/* What an iterator over the files of all tasks hands to its program. */
struct bpf_iter__task_file {
	struct task_struct *task;
	struct file *file;
};

/* The system call's registers, as far as system calls pass arguments in them. A probe whose
 * pointer to them the verifier trusts says that it reads them directly: each call of a helper that
 * it spares is 15 ns. */
#ifdef TRUSTED_REGISTERS
#define REGISTER(regs, field) ((regs)->field)
#define REGISTERS_ARE_FREE true
#else
#define REGISTER(regs, field) BPF_CORE_READ(regs, field)
#define REGISTERS_ARE_FREE false
#endif
/* The same of sockets, for probes that only kernels with bpf_rdonly_cast have (6.2, fd264ca02094). */
#ifdef TRUSTED_SOCKETS
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;
#define TCP_FIELD(tp, field) \
	(((struct tcp_sock *)bpf_rdonly_cast(tp, bpf_core_type_id_kernel(struct tcp_sock)))->field)
#define SOCKET_FIELD(sk, field) \
	(((struct sock *)bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct sock)))->field)
#define SOCKET_BITS(sk, field) \
	BPF_CORE_READ_BITFIELD((struct sock *)bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct sock)), \
			       field)
#else
#define SOCKET_FIELD(sk, field) BPF_CORE_READ(sk, field)
#define SOCKET_BITS(sk, field) BPF_CORE_READ_BITFIELD_PROBED(sk, field)
#define TCP_FIELD(tp, field) BPF_CORE_READ(tp, field)
#endif
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, dx, r10, r8, r9, orig_ax;
	unsigned long ax, ip, sp, bp, bx, cx, r12, r13, r14, r15;
};
/* Of functions in user space: System V ABI, and Go's own (abi-internal.md in its sources). */
#define ARGUMENT1(regs) ((regs)->di)
#define ARGUMENT2(regs) ((regs)->si)
#define ARGUMENT3(regs) ((regs)->dx)
#define ARGUMENT4(regs) ((regs)->cx)
#define ARGUMENT5(regs) ((regs)->r8)
#define ARGUMENT6(regs) ((regs)->r9)
#define ARGUMENT7(regs) user_word((regs)->sp + 8) /* on the stack, above the return address */
#define ARGUMENT8(regs) user_word((regs)->sp + 16)
#define RESULT(regs) ((regs)->ax)
#define STACK_POINTER(regs) ((regs)->sp)
#define INSTRUCTION(regs) ((regs)->ip)
#define GO_WORD1(regs) ((regs)->ax)
#define GO_WORD2(regs) ((regs)->bx)
#define GO_WORD3(regs) ((regs)->cx)
#define GO_GOROUTINE(regs) ((regs)->r14)
#define SYSCALL_NUMBER(regs) ((int)REGISTER(regs, orig_ax))
#define SYSCALL_ARGUMENT1(regs) REGISTER(regs, di)
#define SYSCALL_ARGUMENT2(regs) REGISTER(regs, si)
#define SYSCALL_ARGUMENT3(regs) REGISTER(regs, dx)
#define SYSCALL_ARGUMENT4(regs) REGISTER(regs, r10)
#define SYSCALL_ARGUMENT5(regs) REGISTER(regs, r8)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 orig_x0;
	int syscallno;
};
struct user_pt_regs { /* what bpf_tracing.h takes arguments from */
	__u64 regs[31];
	__u64 sp, pc, pstate;
};
#define ARGUMENT1(registers) ((registers)->regs[0])
#define ARGUMENT2(registers) ((registers)->regs[1])
#define ARGUMENT3(registers) ((registers)->regs[2])
#define ARGUMENT4(registers) ((registers)->regs[3])
#define ARGUMENT5(registers) ((registers)->regs[4])
#define ARGUMENT6(registers) ((registers)->regs[5])
#define ARGUMENT7(registers) ((registers)->regs[6])
#define ARGUMENT8(registers) ((registers)->regs[7])
#define RESULT(registers) ((registers)->regs[0])
#define STACK_POINTER(registers) ((registers)->sp)
#define INSTRUCTION(registers) ((registers)->pc)
#define GO_WORD1(registers) ((registers)->regs[0])
#define GO_WORD2(registers) ((registers)->regs[1])
#define GO_WORD3(registers) ((registers)->regs[2])
#define GO_GOROUTINE(registers) ((registers)->regs[28])
#define SYSCALL_NUMBER(regs) REGISTER(regs, syscallno)
#define SYSCALL_ARGUMENT1(regs) REGISTER(regs, orig_x0)
#define SYSCALL_ARGUMENT2(regs) REGISTER(regs, regs[1])
#define SYSCALL_ARGUMENT3(regs) REGISTER(regs, regs[2])
#define SYSCALL_ARGUMENT4(regs) REGISTER(regs, regs[3])
#define SYSCALL_ARGUMENT5(regs) REGISTER(regs, regs[4])
#else
#error "unknown target architecture"
#endif

#pragma clang attribute pop

/* User space's layouts: fixed, so not relocated. */
struct user_iovec {
	__u64 base;
	__u64 length;
};

struct user_msghdr {
	__u64 name;
	__u32 name_length;
	__u32 pad;
	__u64 vector;
	__u64 vector_length;
	__u64 control;
	__u64 control_length;
	__u32 flags;
	__u32 pad2;
};

struct user_mmsghdr {
	struct user_msghdr header;
	__u32 length;
	__u32 pad;
};

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_BINDPORT_LOCK 8 /* of sk_userlocks: the program has chosen the port */
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define PF_KTHREAD 0x00200000
#define EADDRNOTAVAIL 99
#define ECONNABORTED 103
#define ETIMEDOUT 110
#define SOCK_DEAD 0 /* enum sock_flags of include/net/sock.h: no process has it any more */
#define SOCK_DONE 1 /* the peer's FIN has arrived */

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
};

#endif
