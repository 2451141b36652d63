/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookups that one thread asks for and another makes: libuv has threads that call getaddrinfo. Who asks knows for
 * which request it is, and hands over where the answers go.
 */
#ifndef OTEL_EBPF_LOOKUP_HANDED_H
#define OTEL_EBPF_LOOKUP_HANDED_H

#include "lookup_calls.h"
#include "parent.h"

#define ASKS_NO_SOCKET 1 /* no socket's address: who asks by one that is known by it has no parent here */

/* uv_getaddrinfo_t.addrinfo in bytes: of libuv 1, whose public structs do not change. */
#define UV_ADDRINFO 144

struct handed_key {
	__u64 answer; /* where the pointer to the answers goes */
	__u32 process;
	__u32 reserved;
};

/* Whose child a lookup will be. Inserted by who asks, read and deleted by who makes it. LRU: one that is cancelled
 * is never made. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct handed_key);
	__type(value, struct trace_context);
} handed_lookups SEC(".maps");

static __always_inline struct handed_key handed_key(__u64 answer)
{
	return (struct handed_key){ .answer = answer, .process = bpf_get_current_pid_tgid() >> 32 };
}

/* The current task has a request of libuv looked up. */
static __always_inline void hand_lookup(__u64 request)
{
	struct handed_key key = handed_key(request + UV_ADDRINFO);
	struct trace_context context = {};

	if (is_excluded(key.process))
		return;
	inherit_served(&context, ASKS_NO_SOCKET);
	bpf_map_update_elem(&handed_lookups, &key, &context, BPF_ANY);
}

/* Makes a lookup the child that whoever asked for it said. False where nobody did. */
static __always_inline bool take_handed(struct trace_context *context, __u64 answer)
{
	struct handed_key key = handed_key(answer);
	const struct trace_context *asked = bpf_map_lookup_elem(&handed_lookups, &key);

	if (!asked)
		return false;
	if (*(__u64 *)asked->parent_id) {
		__builtin_memcpy(context->trace_id, asked->trace_id, sizeof(context->trace_id));
		__builtin_memcpy(context->parent_id, asked->parent_id, sizeof(context->parent_id));
		context->flags = asked->flags;
	}
	context->source = asked->source;
	bpf_map_delete_elem(&handed_lookups, &key);
	return true;
}

#endif
