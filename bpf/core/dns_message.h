/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs with a resolver of their own say to name servers, and what they hear: the first bytes of each
 * send to port 53 and of each receive from there. User space reads them.
 *
 * All socket calls of the host pass here. Those that are not for port 53 pay two loads; a send or receive of UDP
 * by a socket that is not connected also a look-up or a read of user memory.
 */
#ifndef OTEL_EBPF_DNS_MESSAGE_H
#define OTEL_EBPF_DNS_MESSAGE_H

#include "dns_socket.h"
#include "lookup_calls.h"
#include "parent.h"
#include "syscall_io.h"

/* UDP sockets that are not connected and have sent to port 53, to whom. Inserted at such a send, read at a receive:
 * who has sent what is received is not told before the call returns. LRU: their ends are not seen. */
struct name_server {
	__u8 address[16];
	__u8 family;
	__u8 reserved[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* socket */
	__type(value, struct name_server);
} name_servers SEC(".maps");

/* struct sockaddr_in and sockaddr_in6, as far as they are read. */
struct user_address {
	__u16 family;
	__u16 port; /* network order */
	__u8 ipv4[4]; /* of IPv6, the flow */
	__u8 ipv6[16];
};

static __always_inline bool is_by_worker(struct task_struct *task)
{
	return BPF_CORE_READ(task, flags) & (PF_KTHREAD | 0x10 /* PF_IO_WORKER */);
}

/* Where the current system call names the peer; 0 where it does not. */
static __always_inline __u64 peer_named(const struct pt_regs *regs)
{
	__u32 number = SYSCALL_NUMBER(regs);

	if (number == NR_SENDTO)
		return SYSCALL_ARGUMENT5(regs);
	if (number == NR_SENDMSG || number == NR_SENDMMSG)
		return user_word(SYSCALL_ARGUMENT2(regs)); /* msg_name, of the first message */
	return 0;
}

/* Whether a send by a socket that is not connected goes to port 53, which is noted. */
static __always_inline bool notes_name_server(__u64 socket, const struct pt_regs *regs)
{
	struct user_address address = {};
	struct name_server server = {};

	bpf_probe_read_user(&address, sizeof(address), (void *)peer_named(regs));
	if (address.port != bpf_htons(DNS_PORT))
		return false;
	server.family = address.family;
	if (address.family == AF_INET)
		__builtin_memcpy(server.address, address.ipv4, sizeof(address.ipv4));
	else
		__builtin_memcpy(server.address, address.ipv6, sizeof(address.ipv6));
	bpf_map_update_elem(&name_servers, &socket, &server, BPF_ANY);
	return true;
}

static __always_inline void fill_peer(struct record_header *header, struct sock *sk, bool connected)
{
	__u64 socket = header->socket;
	const struct name_server *server = connected ? NULL : bpf_map_lookup_elem(&name_servers, &socket);

	header->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (server) {
		header->family = server->family;
		__builtin_memcpy(header->server_address, server->address, sizeof(server->address));
	} else if (header->family == AF_INET) {
		BPF_CORE_READ_INTO((__u32 *)header->server_address, sk, __sk_common.skc_daddr);
	} else {
		BPF_CORE_READ_INTO((struct in6_addr *)header->server_address, sk, __sk_common.skc_v6_daddr);
	}
}

#define LENGTH_SIZE 2 /* by TCP a message begins with its length (RFC 1035 section 4.2.2) */

/* Copies the first bytes of a call. Of buffers beyond the first nothing is read but what follows a length that is
 * sent from a buffer of its own. Apart, so that the object's BTF has the record: tests compare it. */
static __noinline int copy_message(struct datagram_record *record, const struct io *io, __u32 length)
{
	struct user_iovec segment = { .base = io->base, .length = length };
	__u64 size;

	if (io->kind == IO_UNREADABLE || (io->kind == IO_VECTOR && !read_segment(&segment, io, 0)))
		return 0;
	size = segment.length < length ? segment.length : length;
	OPAQUE(size);
	if (size > DATAGRAM_CAPTURE)
		size = DATAGRAM_CAPTURE;
	if (bpf_probe_read_user(record->data, size, (void *)segment.base))
		return 0;
	if (size != LENGTH_SIZE || length <= LENGTH_SIZE || io->segments < 2 ||
	    !read_segment(&segment, io, 1))
		return size;
	size = length - LENGTH_SIZE;
	if (size > segment.length)
		size = segment.length;
	OPAQUE(size);
	if (size > DATAGRAM_CAPTURE - LENGTH_SIZE)
		size = DATAGRAM_CAPTURE - LENGTH_SIZE;
	if (bpf_probe_read_user(record->data + LENGTH_SIZE, size, (void *)segment.base))
		return LENGTH_SIZE;
	return LENGTH_SIZE + size;
}

/* Hands over what a call has moved, and returns the ledger's entry for it. */
static __always_inline __u32 report_message(struct sock *sk, struct task_struct *task,
					    const struct pt_regs *regs, __u32 length, bool sending,
					    bool connected)
{
	__u64 thread = bpf_get_current_pid_tgid(), now = bpf_ktime_get_boot_ns();
	struct process_control *process;
	struct datagram_record *record;
	struct io io = {};

	if (is_looking_up(thread, now))
		return LEDGER_DATAGRAM_LOOKUP;
	process = is_excluded(thread >> 32) ? NULL : current_process(thread >> 32);
	if (!process || process->verdict == VERDICT_OFF)
		return LEDGER_DATAGRAM_DISCOVERY;
	if (!is_by_worker(task) && !called_by_32_bit(task))
		io_from_registers(&io, regs, SYSCALL_NUMBER(regs));
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return LEDGER_DATAGRAM_RING_FULL;
	__builtin_memset(record, 0, sizeof(*record));
	record->captured = copy_message(record, &io, length);
	if (!record->captured) {
		bpf_ringbuf_discard(record, 0);
		return LEDGER_DATAGRAM_UNREAD;
	}
	record->length = length;
	record->direction = sending ? DIRECTION_REQUEST : DIRECTION_RESPONSE;
	record->header.version = WIRE_VERSION;
	record->header.kind = RECORD_DATAGRAM;
	record->header.transport =
		BPF_CORE_READ(sk, sk_protocol) == IPPROTO_UDP ? TRANSPORT_UDP : TRANSPORT_TCP;
	record->header.role = ROLE_CLIENT;
	record->header.server_port = DNS_PORT;
	record->header.client_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	record->header.network_namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	bpf_probe_read_kernel(&record->header.socket, sizeof(record->header.socket), &sk);
	record->header.connection = thread;
	record->header.offset = now;
	record->header.time = now;
	record->header.thread = thread;
	fill_peer(&record->header, sk, connected);
	fill_process(&record->header, task);
	if (sending) {
		root_context(&record->header.context, thread, now, ROLE_UNKNOWN);
		inherit_served(&record->header.context, record->header.socket);
	}
	bpf_ringbuf_submit(record, 0);
	return LEDGER_DATAGRAM_PASSED;
}

/* `length` bytes were moved by a socket of UDP or TCP whose peer's port, in network order, is `port`: 0 where it is
 * not connected. */
static __always_inline void on_message(struct sock *sk, __u16 port, __u32 length, bool sending)
{
	struct task_struct *task;
	struct pt_regs *regs = current_registers(&task);
	__u64 socket = 0;

	if (!regs)
		return;
	if (!port) {
		bpf_probe_read_kernel(&socket, sizeof(socket), &sk);
		if (!(sending ? notes_name_server(socket, regs) :
				(bool)bpf_map_lookup_elem(&name_servers, &socket)))
			return;
	}
	account(LEDGER_DATAGRAM_SEEN);
	account(report_message(sk, task, regs, length, sending, port));
}

#endif
