/* SPDX-License-Identifier: Apache-2.0 */
/* How connections and processes begin and end. */
#ifndef OTEL_EBPF_LIFECYCLE_H
#define OTEL_EBPF_LIFECYCLE_H

#include "event.h"
#include "serving_threads.h"

/* TCP's own totals against ours. A FIN counts one in each. */
static __always_inline void check_totals(struct connection *conn, struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__s32 received = BPF_CORE_READ(tp, copied_seq) - (conn->peer_start + (__u32)conn->received);
	__s32 sent = BPF_CORE_READ(tp, write_seq) - (conn->local_start + (__u32)conn->sent);

	if (conn->mode >= MODE_IGNORED || conn->tls.phase != TLS_NONE || (received <= 1 && sent <= 1))
		return;
	account(LEDGER_EVENT_GAP);
	conn->record.header.flags |= CAPTURE_UNSEEN;
}

/* In a softirq as often as not: it may have interrupted the very hook that holds the lock. */
static __always_inline void on_gone(struct connection *conn, struct sock *sk)
{
	__u32 error = BPF_CORE_READ(sk, sk_err);
	__u32 end = error ? END_RESET : END_FIN;

	if (!try_lock(conn)) {
		conn->closing_error = error;
		conn->closing = end;
		if (!try_lock(conn))
			return; /* the holder ends it when it gives the lock back */
	}
	check_totals(conn, sk);
	close_connection(conn, end, error);
}

/* TCP has no more to do, but the application may have: what came with the peer's FIN is read from
 * a socket that is closed already. Then the socket's destruction is the end. */
static __always_inline void on_close(struct connection *conn, struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u32 unread = BPF_CORE_READ(tp, rcv_nxt) - BPF_CORE_READ(tp, copied_seq);

	if (!BPF_CORE_READ(sk, sk_err) && unread > conn->peer_closed)
		return;
	on_gone(conn, sk);
}

/* A server that sends its FIN has said all that it will say, a client that does may only wait. */
static __always_inline void on_own_fin(struct connection *conn)
{
	if (conn->record.header.role != ROLE_SERVER || conn->phase == PHASE_IDLE || !try_lock(conn))
		return;
	if (conn->phase != PHASE_IDLE)
		finish_by_fin(conn);
	release(conn);
}

static __always_inline void on_destroy(struct sock *sk)
{
	struct connection *conn = find_connection((__u64)sk);

	forget_connect((__u64)sk);
	if (conn)
		on_gone(conn, sk);
}

/* In the system call that connects. */
static __always_inline void begin_connect(struct sock *sk)
{
	if (network_part && is_tcp(sk) && !is_excluded(bpf_get_current_pid_tgid() >> 32))
		keep_connect((__u64)sk);
}

static __always_inline void on_state(struct sock *sk, int from, int state)
{
	struct connection *conn;

	if (state == TCP_SYN_SENT) {
		note_connecting(sk);
		begin_connect(sk);
	} else if (state == TCP_ESTABLISHED) {
		note_connected(sk);
		if (from == TCP_SYN_SENT)
			end_connect(sk);
	} else if (from == TCP_SYN_SENT) {
		forget_connecting(sk);
	}
	if (state != TCP_CLOSE && state != TCP_CLOSE_WAIT && state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK)
		return;
	conn = find_connection((__u64)sk);
	if (!conn)
		return;
	if (state == TCP_CLOSE_WAIT)
		conn->peer_closed = 1;
	else if (state == TCP_CLOSE)
		on_close(conn, sk);
	else
		on_own_fin(conn);
}

/* A child is what its parent was, until it executes something else. */
static __always_inline void on_fork(struct task_struct *parent, struct task_struct *child)
{
	__u32 from = BPF_CORE_READ(parent, tgid), to = BPF_CORE_READ(child, tgid);
	struct process_control *known, copy;
	struct runtime_control *runtime;

	if (from == to) {
		note_started(BPF_CORE_READ(parent, pid), from, BPF_CORE_READ(child, pid));
		return;
	}
	runtime = bpf_map_lookup_elem(&runtimes, &from);
	if (runtime)
		bpf_map_update_elem(&runtimes, &to, runtime, BPF_ANY);
	known = bpf_map_lookup_elem(&processes, &from);
	if (!known)
		return;
	copy = *known;
	copy.announced = 0;
	copy.start = BPF_CORE_READ(child, start_boottime);
	if (bpf_map_update_elem(&processes, &to, &copy, BPF_ANY))
		account(LEDGER_PROCESS_MAP_FULL);
}

/* A file, as the kernel tells it from all others. */
struct file_id {
	__u64 inode;
	__u32 device; /* as in struct super_block */
	__u32 reserved;
};

/* Executables that user space has been told of, so that each is looked into once. Inserted at exec,
 * emptied by user space when it has let one go; LRU: who comes back is told of again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct file_id);
	__type(value, __u8);
} executables SEC(".maps");

/* Its probes are to be in place before its first byte, which may be a millisecond away. */
static __always_inline void tell_of_executable(struct task_struct *task)
{
	struct record_header header = { .version = WIRE_VERSION, .kind = RECORD_EXEC };
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
	struct file_id file = { .inode = BPF_CORE_READ(inode, i_ino),
				.device = BPF_CORE_READ(inode, i_sb, s_dev) };
	__u8 told = 1;

	if (bpf_map_update_elem(&executables, &file, &told, BPF_NOEXIST))
		return;
	header.time = bpf_ktime_get_boot_ns();
	fill_process(&header, task);
	emit(&header, sizeof(header), LEDGER_NOTICE_PASSED, LEDGER_NOTICE_RING_FULL);
}

static __always_inline void on_exec(struct task_struct *task)
{
	__u32 tgid = BPF_CORE_READ(task, tgid);

	bpf_map_delete_elem(&processes, &tgid);
	bpf_map_delete_elem(&runtimes, &tgid);
	bpf_map_delete_elem(&started, &tgid);
	forget_excluded(tgid);
	tell_of_executable(task);
}

static __always_inline void on_exit(struct task_struct *task)
{
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct task thread = { .process = tgid, .kind = TASK_THREAD, .id = (__u32)BPF_CORE_READ(task, pid) };
	struct record_header header = { .version = WIRE_VERSION, .kind = RECORD_PROCESS_EXIT };

	note_ended(&thread);
	if (BPF_CORE_READ(task, signal, live.counter)) /* other threads go on */
		return;
	forget_excluded(tgid);
	bpf_map_delete_elem(&runtimes, &tgid);
	bpf_map_delete_elem(&started, &tgid);
	if (bpf_map_delete_elem(&processes, &tgid))
		return; /* never did I/O on a socket: nobody was told of it */
	header.time = bpf_ktime_get_boot_ns();
	fill_process(&header, task);
	emit(&header, sizeof(header), LEDGER_NOTICE_PASSED, LEDGER_NOTICE_RING_FULL);
}

#endif
