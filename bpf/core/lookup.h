/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that have a name looked up, or an address's: from the entry, which has the arguments, to the return,
 * which has the result. Calls within such a call are part of it: one lookup is one record.
 */
#ifndef OTEL_EBPF_LOOKUP_H
#define OTEL_EBPF_LOOKUP_H

#include "dns_socket.h"
#include "lookup_answers.h"
#include "lookup_handed.h"
#include "parent.h"

#define TOO_LITTLE_ROOM 34 /* ERANGE */

/* Whether the stack is that of a call within the one in progress: at a return it is as at the entry, or the
 * return address above it. */
static __always_inline bool is_within(const struct lookup *lookup, __u64 stack)
{
	return stack < lookup->stack;
}

static __always_inline void begin_lookup(struct pt_regs *ctx, struct lookup *fresh)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct lookup *known = bpf_map_lookup_elem(&lookups, &thread);

	fresh->begun = bpf_ktime_get_boot_ns();
	fresh->stack = STACK_POINTER(ctx);
	if (known && fresh->begun - known->begun < ABANDONED_AFTER) {
		if (is_within(known, fresh->stack))
			return;
		if (known->again && known->asked == fresh->asked) {
			known->again = 0;
			known->answer = fresh->answer;
			return;
		}
	}
	if (!is_excluded(thread >> 32)) {
		root_context(&fresh->context, thread, fresh->begun, ROLE_UNKNOWN);
		if (!take_handed(&fresh->context, fresh->answer))
			inherit_served(&fresh->context, ASKS_NO_SOCKET);
	}
	bpf_map_update_elem(&lookups, &thread, fresh, BPF_ANY);
}

/* Whether the text is an address: of names none has a colon, and none is of digits and dots alone. */
static __always_inline bool is_address(const char *text, const __u32 size)
{
	bool digits = true;

	for (__u32 i = 0; i < size && text[i]; i++) {
		if (text[i] == ':')
			return true;
		if (text[i] != '.' && (text[i] < '0' || text[i] > '9'))
			digits = false;
	}
	return digits;
}

#define START 48 /* INET6_ADDRSTRLEN is 46 */

/* The first bytes of what was asked for: most addresses stand in as few. False where there are none. */
static __always_inline bool read_start(const struct lookup *lookup, char *start)
{
	if (!lookup)
		return false;
	if (lookup->numeric || !lookup->asked)
		return true;
	if (lookup->call == LOOKUP_GETNAMEINFO || lookup->call == LOOKUP_GETHOSTBYADDR)
		return !bpf_probe_read_user(start, 4, (void *)lookup->asked);
	return bpf_probe_read_user_str(start, START, (void *)lookup->asked) >= 0;
}

static __always_inline bool is_numeric(const struct lookup *lookup, const char *start)
{
	if (lookup->numeric || !lookup->asked)
		return true;
	if (lookup->call == LOOKUP_GETNAMEINFO || lookup->call == LOOKUP_GETHOSTBYADDR)
		return false;
	return is_address(start, START - 1);
}

static __always_inline bool is_unwanted(__u32 tgid)
{
	struct process_control *process;

	if (is_excluded(tgid))
		return true;
	process = current_process(tgid);
	return process && process->verdict == VERDICT_OFF;
}

static __always_inline int result_of(struct pt_regs *ctx, const struct lookup *lookup)
{
	int result = RESULT(ctx);

	if (!lookup->error)
		return result;
	if (!result && user_word(lookup->answer))
		return 0;
	bpf_probe_read_user(&result, sizeof(result), (void *)lookup->error);
	return result ? result : -1; /* NETDB_INTERNAL */
}

/* What was asked for, and what came of it. Apart, so that the object's BTF has the record: tests compare it. */
static __noinline int fill_question(struct lookup_record *record, const struct lookup *lookup)
{
	if (lookup->call == LOOKUP_GETNAMEINFO) {
		take_address(record, lookup->asked);
		return 0;
	}
	if (lookup->call == LOOKUP_GETHOSTBYADDR) {
		take_bare_address(record, lookup->asked, lookup->family);
		return 0;
	}
	bpf_probe_read_user_str(record->name, sizeof(record->name), (void *)lookup->asked);
	if (!record->result && lookup->call == LOOKUP_GETADDRINFO)
		take_address_list(record, user_word(lookup->answer));
	else if (!record->result)
		take_host(record, user_word(lookup->answer));
	return 0;
}

/* Hands over what a call has found, and returns the ledger's entry for it. */
static __always_inline __u32 report_lookup(struct pt_regs *ctx, const struct lookup *lookup)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct lookup_record *record;
	char start[START] = {};

	if (!read_start(lookup, start))
		return LEDGER_LOOKUP_UNREAD;
	if (is_unwanted(thread >> 32))
		return LEDGER_LOOKUP_DISCOVERY;
	if (is_numeric(lookup, start))
		return LEDGER_LOOKUP_NUMERIC;
	/* In place: it is too large for the stack, and what is kept for each CPU another call may write over. */
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record)
		return LEDGER_LOOKUP_RING_FULL;
	__builtin_memset(record, 0, sizeof(*record));
	record->header.version = WIRE_VERSION;
	record->header.kind = RECORD_LOOKUP;
	record->header.server_port = DNS_PORT;
	record->header.connection = thread;
	record->header.offset = lookup->begun;
	record->header.time = lookup->begun;
	record->header.thread = thread;
	record->header.context = lookup->context;
	fill_process(&record->header, (struct task_struct *)bpf_get_current_task());
	record->end = bpf_ktime_get_boot_ns();
	record->call = lookup->call;
	record->result = result_of(ctx, lookup);
	fill_question(record, lookup);
	bpf_ringbuf_submit(record, 0);
	return LEDGER_LOOKUP_PASSED;
}

static __always_inline void end_lookup(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct lookup *lookup = bpf_map_lookup_elem(&lookups, &thread);

	if (lookup && is_within(lookup, STACK_POINTER(ctx)))
		return;
	if (lookup && lookup->error && (int)RESULT(ctx) == TOO_LITTLE_ROOM) {
		lookup->again = 1;
		return;
	}
	account(LEDGER_LOOKUP_SEEN);
	account(report_lookup(ctx, lookup));
	bpf_map_delete_elem(&lookups, &thread);
}

#endif
