"""What can be hooked, and how: for each capability a ladder of rungs, the best first.

A rung is chosen by what loads and attaches here, never by the kernel's version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Objects are built with and without what 5.10 lacks (bpf/Makefile).
MODERN, BASELINE = "", ".baseline"


@dataclass(frozen=True, slots=True)
class Extra:
    """Programs for functions that only some kernels have. `trial` is a small one that shows which do."""

    programs: tuple[str, ...]
    trial: str


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to have a capability: an object file, and which of its programs it needs.

    `trials` are small programs that are attached before anything large is verified: where one of them
    cannot be, neither can the rung, and that is known in milliseconds.
    """

    name: str
    object: str
    programs: tuple[str, ...]
    cost: str  # what standing here costs, for `doctor`
    extras: tuple[Extra, ...] = ()
    variants: tuple[str, ...] = (MODERN, BASELINE)
    trials: tuple[str, ...] = ()
    attach_type: int = 0  # enum bpf_attach_type, where it is another than the sections say
    by_request: bool = False  # its programs are run, or attached to files, when that is asked for
    to_cgroups: bool = False  # its programs are attached to the root of the cgroups
    handed_over_by: str = ""  # map of another object, whose programs go on with these, in this order


Ladders = Mapping[str, tuple[Rung, ...]]

UPROBE_MULTI = 48  # BPF_TRACE_UPROBE_MULTI
PAYLOAD = "tcp_payload"
TLS = "tls_library"
RESOLVER = "resolver"
DNS_PACKETS = "dns_packets"
CONTROL = "control"
STATISTICS = "bpf_statistics"
TCP_STATE = "tcp_state"
ACCEPT = "accept"
TCP_RESET = "tcp_reset"
TCP_SWEEP = "tcp_sweep"
UDP_IO = "udp_io"
UDP_CLOSE = "udp_close"
RUNTIMES = (
    "go_runtime",
    "nginx_runtime",
    "haproxy_runtime",
    "python_runtime",
    "node_runtime",
    "ruby_runtime",
)

_TRAMPOLINE_COST = (
    "calls through io_uring, sendfile and by 32-bit programs are all seen; unix sockets are not"
)

_SENDPAGE_EXIT = Extra(("sendpage_exit",), "sendpage_is_there")

LADDERS: Ladders = {
    CONTROL: (
        Rung(
            "test_run",
            "control",
            ("exclude_caller", "set_mode", "visit_one", "visit_all"),
            "",
            (),
            (MODERN,),
            by_request=True,
        ),
        Rung(
            "test_run",
            "control",
            ("exclude_caller", "set_mode", "visit_one"),
            "connections are visited one system call each",
            (),
            (BASELINE,),
            by_request=True,
        ),
    ),
    "process": (Rung("raw_tracepoint", "process", ("process_fork", "process_exec", "process_exit"), ""),),
    TCP_STATE: (
        Rung("tp_btf", TCP_STATE, ("state_btf", "destroy_btf"), ""),
        Rung("raw_tracepoint", TCP_STATE, ("state_raw", "destroy_raw"), ""),
    ),
    ACCEPT: (
        Rung(
            "cgroup",
            ACCEPT,
            ("accepts_ipv4", "accepts_ipv6"),
            "each accepted connection pays; accepts that take no address and io_uring's are not seen",
            to_cgroups=True,
        ),
    ),
    TCP_RESET: (
        Rung("tp_btf", TCP_RESET, ("sent_btf", "received_btf"), ""),
        Rung("raw_tracepoint", TCP_RESET, ("sent_raw", "received_raw"), ""),
    ),
    TCP_SWEEP: (Rung("iterator", TCP_SWEEP, ("sweep_files",), "each open file of the host, once an export"),),
    UDP_CLOSE: (
        Rung(
            "cgroup",
            UDP_CLOSE,
            ("udp_closes",),
            "each internet socket of the host pays when it is closed",
            to_cgroups=True,
        ),
    ),
    PAYLOAD: (
        Rung(
            "trampoline",
            "tcp_trampoline",
            ("sendmsg_entry", "sendmsg_exit", "recvmsg_entry_6", "recvmsg_exit_6", "cleanup_rbuf"),
            _TRAMPOLINE_COST,
            (_SENDPAGE_EXIT,),
            trials=("sendmsg_entry", "recvmsg_has_6"),
        ),
        Rung(
            "trampoline",
            "tcp_trampoline",
            ("sendmsg_entry", "sendmsg_exit", "recvmsg_entry_5", "recvmsg_exit_5", "cleanup_rbuf"),
            _TRAMPOLINE_COST,
            (_SENDPAGE_EXIT,),
            trials=("sendmsg_entry",),
        ),
        Rung(
            "socket_trace",
            "tcp_socket_trace",
            ("sock_send_length", "sock_recv_length"),
            "payload moved by io_uring or by 32-bit programs is counted, not read",
            (Extra(("sendmsg_locked",), "sendmsg_locked"),),
            (MODERN,),
        ),
        Rung(
            "kprobe",
            "tcp_kprobe",
            ("sendmsg_entry", "sendmsg_exit", "recvmsg_entry", "cleanup_rbuf"),
            "about 0.1 us more for each hook; a missed return loses a send and is counted; no unix sockets",
            (
                Extra(("sendpage_entry", "sendpage_exit"), "sendpage_entry"),
                Extra(("splice_read",), "splice_read"),
            ),
            trials=("sendmsg_entry",),
        ),
        Rung(
            "syscall",
            "tcp_syscall",
            ("syscall_exit",),
            "every system call of the host pays; io_uring is not seen",
        ),
    ),
    TLS: (
        Rung(
            "uprobe",
            "tls_library",
            (
                *("tls_read", "tls_write", "tls_read_ex", "tls_write_ex", "tls_sendfile", "tls_peek"),
                *("tls_recv", "tls_layer_read", "tls_layer_recv", "tls_layer_write"),
                *("tls_return", "tls_set_fd", "tls_free", "tls_protocol", "tls_protocol_return"),
                *("go_tls_read", "go_tls_write", "go_tls_return", "tls_plaintext"),
            ),
            "",
            attach_type=UPROBE_MULTI,  # older kernels do not look at it
            by_request=True,
        ),
    ),
    RESOLVER: (
        Rung(
            "uprobe",
            "resolver",
            (
                *("resolver_getaddrinfo", "resolver_getnameinfo", "resolver_gethostbyname"),
                *("resolver_gethostbyname2", "resolver_gethostbyaddr", "resolver_return"),
                "resolver_handed",
            ),
            "",
            attach_type=UPROBE_MULTI,
            by_request=True,
        ),
    ),
    UDP_IO: (
        Rung(
            "tail_call",
            "udp_socket_trace",
            ("udp_send_length", "udp_recv_length"),
            "each socket call of UDP pays about 0.1 us",
            (),
            (MODERN,),
            handed_over_by="udp_programs",
        ),
        Rung(
            "socket_trace",
            "udp_socket_trace",
            ("udp_send_length", "udp_recv_length"),
            "each socket call runs a program, those of UDP pay about 0.1 us",
            (),
            (MODERN,),
        ),
    ),
    DNS_PACKETS: (
        Rung(
            "tail_call",
            "dns_socket_trace",
            ("dns_send_length", "dns_recv_length"),
            "what io_uring or 32-bit programs move is counted, not read",
            (),
            (MODERN,),
            handed_over_by="dns_programs",
        ),
        Rung(
            "socket_trace",
            "dns_socket_trace",
            ("dns_send_length", "dns_recv_length"),
            "each socket call pays two loads; what io_uring or 32-bit programs move is counted, not read",
            (),
            (MODERN,),
        ),
    ),
    "go_runtime": (
        Rung(
            "uprobe",
            "go_runtime",
            ("go_made", "go_asks", "go_writes"),
            "",
            attach_type=UPROBE_MULTI,
            by_request=True,
        ),
    ),
    "node_runtime": (
        Rung(
            "uprobe",
            "node_runtime",
            (
                *("node_pushed", "node_reset", "node_leaves"),
                *("node_awaits", "node_resumes", "node_collected"),
            ),
            "",
            attach_type=UPROBE_MULTI,
            by_request=True,
        ),
    ),
    "nginx_runtime": (
        Rung(
            "uprobe",
            "nginx_runtime",
            ("nginx_sends",),
            "",
            attach_type=UPROBE_MULTI,
            by_request=True,
        ),
    ),
    "haproxy_runtime": (
        Rung(
            "uprobe",
            "haproxy_runtime",
            ("haproxy_attaches",),
            "",
            attach_type=UPROBE_MULTI,
            by_request=True,
        ),
    ),
    "python_runtime": (
        Rung(
            "uprobe",
            "python_runtime",
            ("python_made", "python_gone", "uvloop_calls", "uvloop_called", "uvloop_writes"),
            "",
            attach_type=UPROBE_MULTI,
            by_request=True,
        ),
    ),
    "ruby_runtime": (
        Rung(
            "uprobe",
            "ruby_runtime",
            ("ruby_option", "ruby_peer", "ruby_name"),
            "",
            attach_type=UPROBE_MULTI,
            by_request=True,
        ),
    ),
}
