/* SPDX-License-Identifier: Apache-2.0 */
/* The state of one connection's end, and its lock. */
#ifndef OTEL_EBPF_CONNECTION_H
#define OTEL_EBPF_CONNECTION_H

#include "distrust.h"
#include "io.h"

enum phase {
	PHASE_IDLE = 0,
	PHASE_REQUEST = 1, /* the request is coming, or all there and unanswered */
	PHASE_RESPONSE = 2,
};

enum head_state {
	HEAD_UNKNOWN = 0, /* not HTTP/1, or not followed: only turns, silence and close end it */
	HEAD_OPEN = 1,
	HEAD_FASTCGI = 2, /* a message of FastCGI: core/fastcgi.h */
	HEAD_DONE = 3,
};

enum message_flag {
	MESSAGE_HAS_LENGTH = 1 << 0,
	MESSAGE_CHUNKED = 1 << 1,
	MESSAGE_HEAD_METHOD = 1 << 2,
	MESSAGE_CONNECT_METHOD = 1 << 3,
	MESSAGE_EXPECTS = 1 << 4,
	MESSAGE_LAST_CHUNK = 1 << 5, /* the end of a chunked body was seen; of FastCGI, of the request */
	MESSAGE_TRAILERS = 1 << 6, /* a call ended with the last chunk's own line */
};

/* How far one direction's HTTP/1 message was followed. Offsets are into connection.data. */
struct message {
	__u64 length; /* Content-Length */
	__u64 tail; /* the last 8 bytes of a chunked body */
	__u32 line; /* start of the line that is not complete yet */
	__u32 position; /* next byte to look at */
	__u32 end; /* bytes before this are valid */
	__u32 consumed; /* length of the complete lines of the head */
	__u32 length_at; /* where the value of Content-Length stands, 0 for nowhere */
	__u32 context_at; /* the same of traceparent */
	__u16 lines;
	__u16 status;
	__u8 state; /* enum head_state */
	__u8 flags; /* enum message_flag */
	__u16 reserved;
};

/* One direction of an encrypted stream, as far as its records are followed (RFC 8446, 5.1). */
struct tls_side {
	__u64 bytes; /* of ciphertext */
	__u64 header; /* of a record, as far as it has come */
	__u32 left; /* of the record's payload */
	__u8 have; /* bytes of `header` */
	__u8 changed; /* its ChangeCipherSpec has passed */
	__u8 finished; /* so has a record that is encrypted */
	__u8 lost; /* where records begin is not known, or no longer asked */
	__u8 type; /* of the record that `left` is of */
	__u8 reserved[7];
};

enum tls_phase {
	TLS_NONE = 0, /* not encrypted, as far as is known */
	TLS_HANDSHAKE = 1,
	TLS_OPEN = 2, /* the handshake is over, or was never seen */
};

struct tls_state {
	struct tls_side client;
	struct tls_side server; /* right behind it: side_of */
	__u64 session; /* the library's session that is bound to this socket, 0 for none */
	__u64 received_at; /* time of the last ciphertext */
	__u8 phase; /* enum tls_phase */
	__u8 method; /* enum tls_method */
	__u8 reported; /* the handshake's record was sent, and no exchange since */
	__u8 nameless; /* an exchange was sent without a peer */
	__u8 within; /* a library's call has moved ciphertext here, and its plaintext is yet to come */
	__u8 ended; /* the socket's end came before that: an enum record_end */
	__u8 ended_error; /* errno that goes with it */
	__u8 reserved;
};

/*
 * data: the captured request, right behind it the captured response (so that a record is one
 * copy), and behind both a window through which heads longer than the capture are followed, and
 * 32 bytes so that words may be read at its very end. user space fixes the map's value size so.
 */
struct connection {
	__u32 locked;
	__u8 mode; /* enum connection_mode */
	__u8 phase; /* enum phase */
	__u8 closing; /* its end was seen while another CPU held the lock: an enum record_end */
	__u8 followed; /* user space keeps state of it, and wants its close record */
	__u32 local_start; /* sequence number of this side's first byte */
	__u32 peer_start;
	__u64 sent; /* bytes, so the stream offset of the next one */
	__u64 received;
	__u64 last; /* time of the last event */
	__u64 request_due; /* body bytes of a request whose response is already complete */
	__u64 peer; /* unix: the other end's address, which tells a reused one */
	__u32 exchanges;
	__u8 discard_chunks; /* the same of a chunked body, until its last chunk */
	__u8 amending; /* bytes came after silence had ended the exchange */
	__u8 path_length;
	__u8 missed; /* an event was lost to contention */
	__u8 peer_closed; /* its FIN has arrived */
	__u8 closing_error; /* errno that goes with `closing` */
	__u8 waits; /* its process's calls on the socket block */
	__u8 trace; /* bits of enum trace_state */
	__u8 alone; /* requests of which no client was found, in a row: core/trace.h */
	__u8 counted; /* among the open requests of its process: core/serving_process.h */
	__u8 reserved[2];
	__u32 ports; /* TCP: of its socket, as in skc_portpair */
	__u32 retransmits; /* TCP's count of them when the exchange began: core/network_part.h */
	__u64 connect_start; /* of a client, until the first exchange has told of it; 0: not known */
	__u64 connect_end; /* the same */
	__u32 named_by; /* thread of CRuby's that has asked who the peer is: core/serving_ruby.h */
	__u64 alone_as; /* the number of its request among those of its process; 0: another was open */
	__u64 established; /* not later than it was, the server's end; 0: not known */
	struct tls_state
		tls; /* what is sent and received here is plaintext, wherever its phase is not TLS_NONE */
	struct trace_context
		found; /* in the head of this request; its source is CONTEXT_HEADER, if any was */
	struct message request;
	struct message response; /* right behind it: message_of */
	struct io rest; /* while a head is followed behind the capture: what is left of the call */
	__u32 rest_length;
	__u32 copied; /* by the last copy_bytes */
	char path[112];
	struct exchange_record record;
	__u8 data[];
};

/* Inserted at the first byte that is seen; read by the hooks for bytes, and by user space's walk;
 * deleted by tcp_state's hook when the socket closes, and by the walk (unix, when idle). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* the address of the struct sock */
	__type(value, struct connection); /* and its data */
} connections SEC(".maps");

/* One zeroed connection, so that an insertion needs no large stack or scratch. Never written. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connection);
} empty_connection SEC(".maps");

/* Whether a connection may be in a state that only silence ends. Set by the hooks that bring one there,
 * after they did; taken by user space's walk before it looks, which is then spared where nothing is. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} awaiting_silence SEC(".maps");

static __always_inline __u32 exchange_awaiting(__u32 value)
{
	__u32 zero = 0, *awaiting = bpf_map_lookup_elem(&awaiting_silence, &zero);

	return awaiting ? EXCHANGE(awaiting, value) : 0;
}

/* A bounded wait: the other side needs a microsecond at most, and a try takes a tenth. Nobody waits
 * for a CPU that was interrupted: the softirq that finds the lock taken there leaves a note. */
#define LOCK_TRIES 64

static __always_inline bool try_lock(struct connection *conn)
{
	return COMPARE_AND_SWAP(&conn->locked, 0, 1) == 0;
}

static __always_inline bool wait_lock(struct connection *conn)
{
	for (int i = 0; i < LOCK_TRIES; i++)
		if (try_lock(conn))
			return true;
	conn->missed = 1;
	distrust(conn->record.header.process);
	account(LEDGER_EVENT_CONTENDED);
	return false;
}

static __always_inline void unlock(struct connection *conn)
{
	asm volatile("" ::: "memory");
	*(volatile __u32 *)&conn->locked = 0;
}

/* Either message of a connection by one pointer, of which the verifier does not know which it is. */
static __always_inline struct message *message_of(struct connection *conn, bool request)
{
	__u64 which = !request;

	OPAQUE(which);
	return which > 1 ? &conn->request : &conn->request + which;
}

static __always_inline struct connection *find_connection(__u64 sk)
{
	return bpf_map_lookup_elem(&connections, &sk);
}

#endif
