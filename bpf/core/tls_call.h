/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of TLS libraries in progress, and what a thread did to encrypted sockets outside of them. */
#ifndef OTEL_EBPF_TLS_CALL_H
#define OTEL_EBPF_TLS_CALL_H

#include "connection.h"

/* Of one caller's calls, which may be within one another. */
enum tls_call_place {
	CALL_UPPER = 0,
	CALL_ASKS = 1, /* a question, which may be asked from within a call: in its callbacks */
	CALL_LOWER = 2, /* TLS in TLS: of another session, whose plaintext is the upper one's ciphertext */
};

struct tls_call_key {
	__u64 caller; /* a thread, or a goroutine */
	__u32 process;
	__u32 place; /* enum tls_call_place */
};

/* One call to read or write plaintext, from its entry to its return. */
struct tls_call {
	__u64 session; /* the library's own pointer: SSL *, gnutls_session_t, *tls.Conn */
	__u64 buffer;
	__u64 result_at; /* where the library stores the number of bytes; 0: it returns it */
	__u64 entered; /* time */
	__u64 socket; /* of the socket calls that were made within, the last; 0: none was */
	__u64 moved_at; /* time of it */
	__u32 length; /* bytes that have passed, at the return */
	__u8 kind; /* enum tls_call_kind */
	__u8 method; /* enum tls_method: how `socket` is known */
	__u8 nested_only; /* may be no TLS at all: an encrypted socket within is the proof that it is */
	__u8 lower; /* such a call is in progress within */
};

enum tls_method {
	TLS_METHOD_NONE = 0,
	TLS_METHOD_API = 1,
	TLS_METHOD_NESTED = 2,
	TLS_METHOD_LENGTH = 3,
	TLS_METHODS = 4,
};

enum tls_call_kind {
	TLS_READS = 0,
	TLS_WRITES = 1,
	TLS_BINDS = 2, /* passes no plaintext, but may do the session's I/O */
	TLS_ASKS = 3, /* which protocol was chosen: `buffer` and `result_at` are where the answer goes */
};

/* Inserted at a call's entry, deleted at its return; the hooks for sockets write into it. LRU, so that
 * calls whose return is missed do not fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct tls_call_key);
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

#define RECORDS_KEPT 4

/*
 * Of libraries that work in memory: the session comes after the socket that was read, and before the one
 * that is written, on the same thread. What was last seen of either is a candidate, for the lengths of
 * its records to confirm. With two of them at once, lengths prove nothing: none of both is one, and none
 * for a while.
 */
struct tls_thread {
	__u64 crossed_at; /* time at which there were two */
	__u64 received_from; /* socket */
	__u32 received[RECORDS_KEPT]; /* payload lengths of the application records in that call */
	__u64 writer; /* session */
	__u32 written; /* bytes of its first record, in plaintext; 0: nothing waits to be sent */
	__u32 sent; /* payload length of the last call's first application record */
};

/* Inserted and changed by the hooks for encrypted sockets and by the libraries'; never deleted: LRU. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct tls_thread);
} tls_threads SEC(".maps");

#define CROSSED_FOR 1000000000ULL /* ns */

static __always_inline bool is_crossed(const struct tls_thread *thread, __u64 now)
{
	return thread->crossed_at && now - thread->crossed_at < CROSSED_FOR;
}

static __always_inline struct tls_thread *this_thread(bool make)
{
	__u64 key = bpf_get_current_pid_tgid();
	struct tls_thread *thread = bpf_map_lookup_elem(&tls_threads, &key), fresh = {};

	if (thread || !make)
		return thread;
	bpf_map_update_elem(&tls_threads, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&tls_threads, &key);
}

/* A socket call on this thread: if a library has made it, it is that session's socket. */
static __always_inline struct tls_call *note_socket_call(__u64 socket, __u64 now)
{
	struct tls_call_key key = { .caller = bpf_get_current_pid_tgid() };
	struct tls_call *call;

	key.process = key.caller >> 32;
	call = bpf_map_lookup_elem(&tls_calls, &key);
	if (call && call->lower) {
		key.place = CALL_LOWER;
		call = bpf_map_lookup_elem(&tls_calls, &key);
	}
	if (!call)
		return NULL;
	call->socket = socket;
	call->method = TLS_METHOD_NESTED;
	call->moved_at = now;
	return call;
}

#endif
