/* SPDX-License-Identifier: Apache-2.0 */
/* Whose bytes they are: the current process, and what user space decided about it. */
#ifndef OTEL_EBPF_PROCESS_H
#define OTEL_EBPF_PROCESS_H

#include "cgroup_names.h"
#include "emit.h"

/* Inserted at a process's first I/O on a socket (and by fork, from its parent's); updated by user
 * space's decision; deleted by exec and exit. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32); /* tgid in the initial namespace */
	__type(value, struct process_control);
} processes SEC(".maps");

/* Written by user space only: the ports that discovery rules name. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u16);
	__type(value, struct port_rules);
} ports SEC(".maps");

/*
 * Processes of which nothing is wanted, where a lookup costs no call: most calls of a busy host are
 * theirs. A slot belongs to one of the tgids that share it, and counts only under the ruleset it was
 * written under. Written at an excluded process's call; cleared by exec and exit; read by all hooks.
 */
#define EXCLUDED_SLOTS 1024

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EXCLUDED_SLOTS);
	__type(key, __u32);
	__type(value, __u64); /* ruleset << 32 | tgid */
} excluded SEC(".maps");

static __always_inline __u64 *excluded_slot(__u32 tgid)
{
	__u32 slot = tgid % EXCLUDED_SLOTS;

	return bpf_map_lookup_elem(&excluded, &slot);
}

static __always_inline bool is_excluded(__u32 tgid)
{
	__u64 *slot = excluded_slot(tgid);

	return slot && *slot == ((__u64)current_ruleset() << 32 | tgid);
}

/* Nothing is wanted of the process: that is counted, and nothing else looked up. */
static __always_inline bool refuse_excluded(__u32 tgid)
{
	if (!is_excluded(tgid))
		return false;
	account(LEDGER_EVENT_DISCOVERY);
	return true;
}

/* `ruleset` was read before the verdict was: a decision made in between is then not hidden. */
static __always_inline void remember_excluded(__u32 tgid, __u32 ruleset)
{
	__u64 *slot = excluded_slot(tgid);

	if (slot)
		*slot = (__u64)ruleset << 32 | tgid;
}

/* The tgid stands for another program now, or for none. */
static __always_inline void forget_excluded(__u32 tgid)
{
	__u64 *slot = excluded_slot(tgid);

	if (slot && (__u32)*slot == tgid)
		*slot = 0;
}

/* Too large for the stack. One for each CPU; used only where a process is announced. */
struct process_notice {
	struct process_record record;
	__u8 data[PROCESS_ARGUMENTS_MAX + PROCESS_ENVIRONMENT_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_notice);
} process_notice SEC(".maps");

static __always_inline void fill_process(struct record_header *header, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct bpf_pidns_info inside = {};

	header->process = bpf_get_current_pid_tgid() >> 32;
	header->process_start = BPF_CORE_READ(leader, start_boottime);
	header->cgroup = bpf_get_current_cgroup_id();
	header->agent_process = header->process;
	if (agent_namespace_inode) {
		bpf_get_ns_current_pid_tgid(agent_namespace_device, agent_namespace_inode, &inside,
					    sizeof(inside));
		header->agent_process = inside.tgid;
	}
}

static __always_inline __u32 copy_range(__u8 *to, const __u32 limit, __u64 start, __u64 end)
{
	__u64 size = end - start;

	OPAQUE(size);
	if (size > limit)
		size = limit;
	return bpf_probe_read_user(to, size, (void *)start) ? 0 : size;
}

/* Tells user space of the process while it certainly exists: a short-lived one may be gone
 * when the record is read, so the record holds what names it. */
static __always_inline void announce_process(struct task_struct *task)
{
	__u32 zero = 0;
	struct process_notice *notice = bpf_map_lookup_elem(&process_notice, &zero);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 arguments, environment;
	const unsigned char *name;

	if (!notice)
		return;
	notice->record.header.version = WIRE_VERSION;
	notice->record.header.kind = RECORD_PROCESS;
	notice->record.header.time = bpf_ktime_get_boot_ns();
	fill_process(&notice->record.header, task);
	notice->record.parent = BPF_CORE_READ(task, group_leader, real_parent, tgid);
	notice->record.user = BPF_CORE_READ(task, cred, uid.val);
	BPF_CORE_READ_STR_INTO(&notice->record.command, task, group_leader, comm);
	name = BPF_CORE_READ(mm, exe_file, f_path.dentry, d_name.name);
	bpf_probe_read_kernel_str(notice->record.executable, sizeof(notice->record.executable), name);
	copy_cgroup_names(&notice->record, task);
	arguments = copy_range(notice->data, PROCESS_ARGUMENTS_MAX, BPF_CORE_READ(mm, arg_start),
			       BPF_CORE_READ(mm, arg_end));
	OPAQUE(arguments);
	if (arguments > PROCESS_ARGUMENTS_MAX)
		return;
	environment = copy_range(notice->data + arguments, PROCESS_ENVIRONMENT_MAX,
				 BPF_CORE_READ(mm, env_start), BPF_CORE_READ(mm, env_end));
	notice->record.arguments = arguments;
	notice->record.environment = environment;
	arguments += environment;
	OPAQUE(arguments);
	if (arguments > sizeof(notice->data))
		return;
	emit(notice, sizeof(notice->record) + arguments, LEDGER_NOTICE_PASSED, LEDGER_NOTICE_RING_FULL);
}

/* The current process's entry, made and announced at its first I/O; NULL when the map is full. */
static __noinline __attribute__((unused)) struct process_control *current_process(__u32 tgid)
{
	struct process_control *known = bpf_map_lookup_elem(&processes, &tgid);
	struct process_control fresh = { .announced = 1 };
	struct task_struct *task;
	bool late; /* another thread was faster */

	if (known && known->announced)
		return known;
	task = (struct task_struct *)bpf_get_current_task();
	if (known) { /* inherited by fork */
		known->announced = 1;
	} else {
		fresh.start = BPF_CORE_READ(task, group_leader, start_boottime);
		if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
			fresh.verdict = VERDICT_OFF; /* the kernel's own sockets */
		late = bpf_map_update_elem(&processes, &tgid, &fresh, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&processes, &tgid);
		if (!known)
			account(LEDGER_PROCESS_MAP_FULL);
		if (late)
			return known;
	}
	if (known && known->verdict != VERDICT_OFF)
		announce_process(task);
	return known;
}

/* Whether the discovery rules let what a process says to a server's port through. */
static __always_inline bool admitted_port(const struct process_control *process, __u16 port)
{
	struct port_rules *rules;

	if (!process->include_ports && !process->exclude_ports)
		return true;
	rules = bpf_map_lookup_elem(&ports, &port);
	if (!rules)
		return !process->include_ports;
	if (rules->exclude & process->exclude_ports)
		return false;
	return !process->include_ports || rules->include & process->include_ports;
}

/* Whether what TCP or UDP did is to be counted: what the rules say later, user space looks at. */
static __always_inline bool is_counted(const struct process_control *process, __u16 port)
{
	if (!process || process->verdict == VERDICT_UNKNOWN)
		return true;
	return process->verdict != VERDICT_OFF && admitted_port(process, port);
}

/* The same of a connection. Where the socket is not known the port may be any: user space decides of what
 * comes without one. */
static __always_inline bool admitted(const struct process_control *process,
				     const struct record_header *header)
{
	if (!process || process->verdict == VERDICT_UNKNOWN)
		return true;
	if (process->verdict == VERDICT_OFF)
		return false;
	return header->transport == TRANSPORT_UNKNOWN || admitted_port(process, header->server_port);
}

#endif
