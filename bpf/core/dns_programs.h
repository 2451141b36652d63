/* SPDX-License-Identifier: Apache-2.0 */
/* A socket's call runs one program, which hands over to others by tail calls; where there is none it goes on. */
#ifndef OTEL_EBPF_DNS_PROGRAMS_H
#define OTEL_EBPF_DNS_PROGRAMS_H

#include "dns_socket.h"

/* The order of programs in maps for tail calls. */
enum socket_call {
	SOCKET_SEND = 0,
	SOCKET_RECEIVE = 1,
	SOCKET_CALLS,
};

/* dns_socket_trace.bpf.c's, by enum socket_call. Filled by user space where lookups are followed. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SOCKET_CALLS);
	__type(key, __u32);
	__type(value, __u32);
} dns_programs SEC(".maps");

#endif
