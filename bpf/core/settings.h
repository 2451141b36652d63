/* SPDX-License-Identifier: Apache-2.0 */
/* What user space fixes before loading (read-only data, so the verifier folds it), and what it
 * may change while running (one array element). */
#ifndef OTEL_EBPF_SETTINGS_H
#define OTEL_EBPF_SETTINGS_H

#include "../include/wire.h"
#include "../include/compat.h"

/* Upper limits of what the configuration allows. */
#define REQUEST_CAPTURE_MAX 8192
#define RESPONSE_CAPTURE_MAX 4096
#define PIECE_CAPTURE_MAX 8192 /* a per-CPU value may have 32 KiB, and copying wants twice this */

const volatile __u32 request_capture = 1024;
const volatile __u32 response_capture = 256;
const volatile __u32 piece_capture = 4096;
/* Of connection.data (core/connection.h): where the window behind the captures starts and ends, and
 * the largest of the captures. Settled by user space, for each would cost four loads here. */
const volatile __u32 window_start = 1280;
const volatile __u32 data_end = 2304;
const volatile __u32 capture_limit = 1024;
const volatile __u64 id_secret_low = 0;
const volatile __u64 id_secret_high = 0;
const volatile __u32 tls_left_out = 0; /* whether any process may have LEFT_OUT_TLS */
const volatile __u32 follow_started = 1; /* traces.started_threads */
const volatile __u32 network_part = 1; /* traces.network */
const volatile __u32 network_tcp = 0; /* network.tcp.enabled */
const volatile __u32 network_udp = 0; /* network.udp */
const volatile __u32 network_peers = 2048; /* network.tcp.peers */
const volatile __u32 injects = 0; /* whether traceparent is written into requests: core/inject.h */
const volatile __u64 tick = 10000000; /* nanoseconds of one of the kernel's jiffies */
/* The agent's pid namespace as bpf_get_ns_current_pid_tgid wants it; 0: the initial one. */
const volatile __u64 agent_namespace_device = 0;
const volatile __u64 agent_namespace_inode = 0;

struct settings {
	__u32 ruleset; /* generation of the discovery rules' decisions */
	__u32 reserved;
};

/* Written by user space only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

static __always_inline __u32 current_ruleset(void)
{
	__u32 zero = 0;
	struct settings *now = bpf_map_lookup_elem(&settings, &zero);

	return now ? now->ruleset : 0;
}

#endif
