/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one ABI between the kernel side and user space: what stands in the ring
 * buffer, and what the control maps hold. otel_ebpf/kernel/records.py and
 * control.py mirror it; tests/kernel/test_wire_layout.py compares both against
 * the BTF of the built objects, so the two cannot drift apart.
 *
 * All times are CLOCK_BOOTTIME nanoseconds (bpf_ktime_get_boot_ns), taken at
 * the byte they speak of. 0 means "did not happen".
 */
#ifndef OTEL_EBPF_WIRE_H
#define OTEL_EBPF_WIRE_H

#include <linux/types.h>

#define WIRE_VERSION 3

enum record_kind {
	RECORD_EXCHANGE = 1, /* one request and its response */
	RECORD_PIECE = 2, /* one piece of one direction of a connection in stream mode */
	RECORD_CLOSE = 3, /* a connection that user space follows has ended */
	RECORD_AMEND = 4, /* an exchange that was ended by silence went on after all */
	RECORD_PROCESS = 5, /* a process did its first I/O on a socket */
	RECORD_PROCESS_EXIT = 6,
	RECORD_HANDSHAKE = 7, /* TLS: an exchange_record whose request and response are the two hellos */
	RECORD_EXEC = 8, /* a program was started whose executable is new: the header alone */
	RECORD_LOOKUP = 9, /* the C library has looked up a name, or an address's */
	RECORD_DATAGRAM = 10, /* a program has sent to a name server, or received from it */
};

enum transport {
	TRANSPORT_UNKNOWN = 0, /* plaintext of a TLS session whose socket is not known */
	TRANSPORT_TCP = 1,
	TRANSPORT_UNIX = 2,
	TRANSPORT_UDP = 3,
};

/* Who connected: settled from TCP, never from the payload. */
enum role {
	ROLE_UNKNOWN = 0,
	ROLE_CLIENT = 1,
	ROLE_SERVER = 2,
};

enum direction {
	DIRECTION_REQUEST = 0, /* from the connecting side to the accepting side */
	DIRECTION_RESPONSE = 1,
};

/* Why a record ends where it ends. */
enum record_end {
	END_NONE = 0, /* a piece: it ends nothing */
	END_LENGTH = 1, /* Content-Length, or a response that has no body */
	END_CHUNK = 2, /* the last chunk */
	END_TURN = 3, /* the requesting side spoke again */
	END_FIN = 4, /* the peer closed, or this side sent its FIN */
	END_RESET = 5, /* RST, or a socket error (record_header.error) */
	END_IDLE = 6, /* nothing but silence told */
	END_UPGRADE = 7, /* 101, or 2xx to CONNECT: what follows is another protocol */
};

enum capture_flag {
	CAPTURE_TRUNCATED = 1 << 0, /* more bytes passed than were captured */
	CAPTURE_TLS = 1 << 1,
	CAPTURE_SERVER_FIRST = 1 << 2, /* the accepting side spoke first */
	CAPTURE_UNSEEN = 1 << 3, /* bytes passed by a way that this rung cannot read */
	CAPTURE_OLD = 1 << 4, /* the connection is older than the agent, or was first seen midway */
	CAPTURE_ROLE_GUESSED = 1 << 5, /* TCP's counters did not settle the role */
	CAPTURE_PEER_CLOSED = 1 << 6, /* the peer's FIN had arrived */
	CAPTURE_HTTP1 = 1 << 7, /* the kernel has followed an earlier exchange on it to its end */
	CAPTURE_FIRST = 1 << 8, /* the first exchange behind a handshake that was reported */
	CAPTURE_WRITTEN = 1 << 9, /* WRITTEN_BYTES of its request were not the application's */
	CAPTURE_CONNECTED = 1 << 10, /* a connection's first exchange, with how it was made or accepted */
};

/* A traceparent and its line end: TCP counts it, so the positions behind it do too. */
#define WRITTEN_BYTES 70

/* Protocol chosen by ALPN (RFC 7301), as far as it was seen in clear. */
enum tls_protocol {
	TLS_PROTOCOL_UNKNOWN = 0,
	TLS_PROTOCOL_HTTP2 = 1,
	TLS_PROTOCOL_HTTP1 = 2,
	TLS_PROTOCOL_OTHER = 3,
};

/* What the handshake settled; all zero where it was not seen. */
struct tls_facts {
	__u16 version; /* 0x0304: TLS 1.3 */
	__u16 cipher; /* IANA's number */
	__u8 protocol; /* enum tls_protocol */
	__u8 resumed; /* 0 unknown, 1 no, 2 yes */
	__u8 alert; /* code of a fatal alert + 1; 255: one that is encrypted */
	__u8 reserved;
};

enum context_source {
	CONTEXT_NONE = 0,
	CONTEXT_ROOT = 1, /* made here: no parent is known */
	CONTEXT_HEADER = 2, /* the request's traceparent */
	CONTEXT_PEER = 3, /* the request on the connection's other end, a client's */
	CONTEXT_SERVED = 4, /* the request that the thread serves */
	CONTEXT_ANSWERED = 5, /* as ROOT: the task that asks served a request that has been answered */
	CONTEXT_AMBIGUOUS = 6, /* as ROOT: it may be one's of several requests */
	CONTEXT_DECIDED = 1 << 7, /* with PEER and SERVED: `flags` are of a traceparent further up */
};

/* W3C trace context, settled in the kernel. */
struct trace_context {
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 parent_id[8]; /* all zero: none */
	__u8 flags; /* W3C trace flags; meaningful with CONTEXT_HEADER and CONTEXT_DECIDED */
	__u8 source; /* enum context_source */
	__u8 reserved[6];
};

/*
 * Common to all kinds. Rich from the first day: later parts add readers, not fields.
 *
 * From `transport` to `server_address` stands the vantage: whose end of which service was observed. It
 * is the same for all connections between one process and one server, so user space looks it up whole.
 * From `tls` on, with the vantage, stands what requests have in common that are alike (likeness.py).
 */
struct record_header {
	__u16 version;
	__u16 client_port; /* of the connecting end */
	__u32 lost; /* records lost on this connection since the last one that arrived */
	struct tls_facts tls;
	__u32 flags; /* enum capture_flag */
	__u8 kind; /* enum record_kind */
	__u8 end; /* enum record_end */
	__u8 error; /* errno of the socket, 0 for none */
	__u8 transport; /* enum transport */
	__u8 family; /* AF_INET, AF_INET6, AF_UNIX */
	__u8 role; /* enum role, of this end */
	__u16 server_port;
	__u32 network_namespace; /* inode number */
	__u64 process_start; /* boot time of the process's start */
	__u64 cgroup; /* id in the unified hierarchy */
	__u32 process; /* tgid in the initial pid namespace */
	__u32 agent_process; /* tgid in the agent's own pid namespace, 0 if not in it */
	__u8 server_address[16]; /* of the accepting end; IPv4 in the first four bytes; unused for unix */
	__u64 connection; /* connecting ISN+1 << 32 | accepting ISN+1; the same on both ends */
	__u64 offset; /* position in its direction's stream of the first byte */
	__u64 time; /* of the first byte */
	__u64 socket; /* the kernel's struct sock, the handle for control messages */
	__u32 thread;
	__u32 ruleset; /* generation of the discovery decision this was captured under */
	__u8 client_address[16];
	struct trace_context context;
};

/* data: request_captured bytes, response_captured bytes, path_captured bytes (unix). */
struct exchange_record {
	struct record_header header;
	__u64 request_end; /* time of the last byte of the request */
	__u64 response_start; /* time of the first byte of the (final) response */
	__u64 response_end; /* time of the last byte of the response */
	__u64 request_bytes;
	__u64 response_bytes; /* interim (1xx) responses included */
	__u32 waited; /* us that the request had been there when it was read: core/network_part.h */
	__u32 rtt; /* us, TCP's smoothed one at the end of the exchange; 0: not known */
	__u32 rtt_min; /* us, the least one of the last minutes */
	__u32 retransmits; /* segments that this end sent again during the exchange */
	__u64 connect_start; /* with CAPTURE_CONNECTED: time of the call that connects; of a server, the request's */
	__u64 connect_end; /* time at which the connection was there, or accepted */
	__u32 request_head; /* length of the HTTP/1 head in bytes, 0 if it was not followed to its end */
	__u32 response_head; /* the same, of the final response, interim heads before it included */
	__u16 request_captured;
	__u16 response_captured;
	__u16 path_captured;
	__u16 status; /* HTTP/1 status as the kernel read it, 0 if it did not */
};

/* data: captured bytes, then path_captured bytes. */
struct piece_record {
	struct record_header header;
	__u32 length; /* bytes that passed, of which `captured` follow */
	__u16 captured;
	__u8 direction; /* enum direction */
	__u8 reserved;
	__u16 path_captured;
	__u16 reserved2[3];
};

/* A connection that user space follows has ended; totals as far as they were seen. */
struct close_record {
	struct record_header header;
	__u64 request_bytes;
	__u64 response_bytes;
};

_Static_assert(sizeof(struct close_record) == sizeof(struct record_header) + 16,
	       "checked by test_wire_layout.py");

#define PROCESS_ARGUMENTS_MAX 1024
#define PROCESS_ENVIRONMENT_MAX 4096

/* Names of a control group and of those it is in, the innermost first; empty at the hierarchy's root. */
#define CGROUP_NAMES 3
#define CGROUP_NAME_MAX 96 /* cri-containerd-, 64 digits, .scope */

/* data: arguments (NUL separated), then environment (NUL separated). */
struct process_record {
	struct record_header header;
	__u32 parent; /* tgid of the parent in the initial namespace */
	__u32 user; /* uid in the initial user namespace */
	__u16 arguments; /* bytes captured */
	__u16 environment;
	__u32 reserved;
	char command[16]; /* task->group_leader->comm */
	char executable[64]; /* the last component of the executable's path */
	char unified[CGROUP_NAMES][CGROUP_NAME_MAX]; /* in the hierarchy of version 2 */
	char controlled[CGROUP_NAMES][CGROUP_NAME_MAX]; /* in one of version 1, where there is any */
};

/* By which of the C library's functions, which decides what `result` is. */
enum lookup_call {
	LOOKUP_GETADDRINFO = 1, /* 0, else an EAI code of netdb.h */
	LOOKUP_GETNAMEINFO = 2, /* the same; what was asked for is an address */
	LOOKUP_GETHOSTBYNAME = 3, /* 0, else an h_errno of netdb.h */
	LOOKUP_GETHOSTBYADDR = 4, /* the same; what was asked for is an address */
	LOOKUP_QUESTIONS = 5, /* none of them: questions to name servers. User space's alone. */
};

#define LOOKUP_NAME_MAX 256 /* 253 characters (RFC 1035 section 2.3.4), a dot behind them, NUL */
#define LOOKUP_ADDRESSES 8

/*
 * One call, from its entry (`time`) to its return. `connection` is the thread that called, as
 * bpf_get_current_pid_tgid has it, and `offset` the same as `time`: of these the ids are made, with no role.
 */
struct lookup_record {
	struct record_header header;
	__u64 end; /* time */
	__s32 result;
	__u8 call; /* enum lookup_call */
	__u8 addresses; /* how many there are: answers, or the one that was asked for */
	__u16 reserved;
	__u8 families[LOOKUP_ADDRESSES]; /* AF_INET, AF_INET6 */
	__u8 address[LOOKUP_ADDRESSES][16]; /* IPv4 in the first four bytes */
	char name[LOOKUP_NAME_MAX]; /* what was asked for, up to a NUL; empty if that is an address */
};

#define DATAGRAM_CAPTURE 512 /* what fits into a datagram without extensions (RFC 1035 section 4.2.1) */

/* One send or receive; by TCP, as many bytes as the call moved. `connection` and `offset` as in lookup_record;
 * what is received has no context. */
struct datagram_record {
	struct record_header header;
	__u32 length; /* bytes that passed */
	__u16 captured; /* of them, the first ones, which stand in `data` */
	__u8 direction; /* enum direction */
	__u8 reserved;
	__u8 data[DATAGRAM_CAPTURE];
};

/* ---- control maps: user space -> kernel ---- */

enum verdict {
	VERDICT_UNKNOWN = 0, /* captured until user space decides */
	VERDICT_ON = 1,
	VERDICT_OFF = 2,
};

enum connection_mode {
	MODE_EXCHANGE = 0, /* the two sides take turns */
	MODE_STREAM = 1, /* every piece is reported; user space pairs */
	MODE_IGNORED = 2, /* nothing we know: count, and say nothing */
	MODE_OWN = 3, /* the other end is the agent: the same */
};

/* Map `processes`: tgid -> this. Inserted at first I/O, inherited by fork, deleted by exec and exit. */
struct process_control {
	__u8 verdict; /* enum verdict */
	__u8 announced; /* its RECORD_PROCESS has been sent */
	__u16 left_out; /* bit set of enum left_out */
	__u32 ruleset; /* generation of the decision */
	__u32 inject; /* rules of traces.inject (bit numbers) that fit but for their ports */
	__u32 sampler_threshold; /* reserved for sampling in the kernel */
	__u64 include_ports; /* rules (bit numbers) that fit but for their ports */
	__u64 exclude_ports;
	__u32 request_capture; /* 0: the default */
	__u32 response_capture;
	__u64 start; /* boot time of the process's start: tells a reused pid */
};

enum left_out {
	LEFT_OUT_TLS = 1, /* what the process says by TLS */
};

enum runtime_kind {
	RUNTIME_NONE = 0,
	RUNTIME_GO = 1,
	RUNTIME_NGINX = 2,
	RUNTIME_HAPROXY = 3,
	RUNTIME_NODE = 4,
	RUNTIME_PYTHON = 5,
	RUNTIME_JAVA = 6,
	RUNTIME_RUBY = 7,
};

/* Where Go keeps what is read of it, in bytes. */
struct go_places {
	__u32 below; /* the thread pointer stands the word that points to g */
	__u32 current; /* offset in runtime.m of curg */
};

/* Where HAProxy keeps what is read of it, in bytes. */
struct haproxy_places {
	__u32 application; /* offset in struct stconn of app */
	__u32 session; /* offset in struct stream of sess */
	__u32 descriptor; /* offset in struct connection of handle.fd */
};

/* A register that a function must give back to its caller as it was. */
enum kept_register {
	KEPT_BX = 0,
	KEPT_12 = 1,
	KEPT_13 = 2,
	KEPT_14 = 3,
	KEPT_15 = 4,
};

/* Where Node.js keeps what is read of it. */
struct node_places {
	__u32 pushed; /* enum kept_register: holds the AsyncHooks where a scope has just been entered */
	__u32 provider; /* offset in AsyncWrap of its kind; behind it stand its id and its trigger's */
	__u64 carriers[2]; /* bit set of the kinds that work for whoever makes them */
};

/* Where CPython keeps what is read of it. */
struct python_places {
	__u64 interpreter; /* address in the file of _PyRuntime.interpreters.main */
	__u64 context_type; /* the same of PyContext_Type */
	__u32 threads; /* offset in PyInterpreterState of its list of threads */
	__u16 thread_id; /* offsets in PyThreadState */
	__u16 context;
	__u32 uvloop; /* the kernel's: its probes have been hit */
	__u32 reserved;
};

/* How many requests a process has been asked, where nothing tells them apart but that one is alone. The
 * kernel's: core/serving_process.h. */
struct requests_of_process {
	__u64 begun;
	__u64 ended;
	__u64 last; /* socket: of the last that began while none was open */
	__u64 quiet_since; /* time; 0: others were asked since the last has ended */
	__u64 asked; /* whether others were asked since the last began */
};

/* Map `runtimes`: tgid -> this. Map `runtime_files`: a number that user space gives each file -> the same,
 * for processes that run it and of which user space has not heard yet. */
struct runtime_control {
	__u32 kind; /* enum runtime_kind */
	__u32 trust; /* the kernel's: core/serving_python.h, core/serving_process.h */
	__u64 hits; /* of the runtime's probes, counted by the kernel */
	__u64 moved; /* bytes between addresses in the file and in the process */
	union {
		struct go_places go;
		struct haproxy_places haproxy;
		struct node_places node;
		struct python_places python;
		struct requests_of_process requests;
		__u8 places[40];
	};
};

/* ---- TCP's health: kernel -> user space, by maps ---- */

enum tcp_kind {
	TCP_CONNECTED = 1, /* connections that the process made */
	TCP_ACCEPTED = 2,
	TCP_CONNECT = 3, /* its attempts to connect, by how they ended */
	TCP_LISTENING = 4,
	UDP_SOCKETS = 5, /* of a port, whoever the peer is */
	TCP_OVERFLOW = 1 << 7, /* flag: all peers of the kind for which there was no room */
};

/* Maps `tcp_peers_even` and `tcp_peers_odd`: this -> tcp_peer, of which one is filled while the other is read. */
struct tcp_peer_key {
	__u64 start; /* boot time of the process's start */
	__u32 process; /* tgid in the initial pid namespace */
	__u16 port; /* of the listening side */
	__u8 kind; /* enum tcp_kind */
	__u8 error; /* errno of an attempt that failed */
	__u8 address[16]; /* of the peer; IPv4 as ::ffff:a.b.c.d; zero: of any */
};

#define TCP_BUCKETS 16

/* The bounds of the buckets stand in core/tcp_peer.h. */
struct tcp_histogram {
	__u64 total; /* ns */
	__u64 most; /* ns */
	__u64 least; /* complement of ns, so that 0 is none */
	__u32 counts[TCP_BUCKETS];
};

/* What was counted of a peer since it was read last, on one CPU. */
struct tcp_peer {
	struct tcp_histogram rtt;
	struct tcp_histogram time; /* that connections lasted, or attempts took */
	__u64 sent; /* bytes of payload, each once; of UDP too */
	__u64 received;
	__u64 retransmits; /* segments */
	__u32 resets_sent;
	__u32 resets_received;
	__u32 active; /* connections that the sweep found open */
	__u32 overflows; /* connections that a full queue had no room for; of UDP datagrams that were dropped */
};

/* Map `ports`: port -> the rules that name it. */
struct port_rules {
	__u64 include;
	__u64 exclude;
};

#endif
