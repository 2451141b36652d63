/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that this agent writes into requests (inject.h): TCP counts them, and so does the other end, but not
 * the call by which the application sends. The hooks that count such a call ask here.
 */
#ifndef OTEL_EBPF_WRITTEN_H
#define OTEL_EBPF_WRITTEN_H

#include "settings.h"

enum injecting_state {
	INJECTING_CONNECTS = 0,
	INJECTING_OPEN = 1,
	INJECTING_LET_GO = 2, /* nothing is written into it any more */
};

/* How far a request's head was looked through. In a map and not in registers, for the verifier: head.h. */
struct head_scan {
	__u64 last; /* the last eight characters of the line */
	__u64 first; /* the first eight of it */
	__u64 length; /* Content-Length */
	__u32 place; /* where the first field begins */
	__u32 end; /* of the head */
	__u32 characters; /* of the line, so far */
	__u32 lines;
	__u8 after_colon;
	__u8 takes_length; /* the line is Content-Length's */
	__u8 chunked;
	__u8 found; /* enum injected: why nothing is to be written; 0: nothing speaks against it */
	__u8 after_return; /* CR */
	__u8 reserved[3];
};

/* A client's socket into whose requests a context is written. */
struct injecting {
	__u32 written; /* into the call that is under way */
	__u32 state; /* enum injecting_state */
	struct head_scan scan;
};

/* Inserted when a selected process connects, deleted when the socket is destroyed (both inject.bpf.c's). Used
 * under the socket's own lock, but for `written`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* INJECTED_MAX where it is asked for */
	__type(key, __u64); /* the address of the struct sock */
	__type(value, struct injecting);
} injecting SEC(".maps");

/* How many bytes were written into what this socket has just sent. */
static __always_inline __u32 written_into(__u64 socket)
{
	struct injecting *known;

	if (!injects) /* read-only: nothing of this is left then */
		return 0;
	known = bpf_map_lookup_elem(&injecting, &socket);
	return known ? known->written : 0;
}

/* The same once, when they are counted. */
static __always_inline __u32 take_written(__u64 socket)
{
	struct injecting *known;
	__u32 written;

	if (!injects)
		return 0;
	known = bpf_map_lookup_elem(&injecting, &socket);
	if (!known)
		return 0;
	written = known->written;
	known->written = 0;
	return written;
}

#endif
