/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every rung calls, whatever its hooks: on_send and on_receive with the bytes that passed,
 * on_end_of_stream when a read found the peer's FIN.
 *
 * Hot path. Budget, by the kernel's own run-time statistics on the development hosts: 1.8 us a
 * request on nginx (a receive, two sends, one EAGAIN in five) and its excluded client (a send, a
 * receive). Of it 0.3 are empty programs' five runs, 0.3 three reads of user memory (75 ns each at
 * best), 0.2 the copy to the ring buffer, 0.1 three clock reads. A helper costs 7 ns and what it does,
 * a look-up in a hash map 25, one in an array nothing.
 */
#ifndef OTEL_EBPF_EVENT_H
#define OTEL_EBPF_EVENT_H

#include "admission.h"
#include "stream.h"
#include "tls_session.h"

/* TCP's own position against ours: bytes that no hook saw leave a gap. Only read at a request's
 * first byte, where a wrong offset would give it a wrong identity. */
static __always_inline void check_offset(struct connection *conn, struct sock *sk, __u32 length, bool sending)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u32 expected, seen, gap;

	if (conn->record.header.transport != TRANSPORT_TCP || conn->tls.phase != TLS_NONE)
		return;
	if (sending) {
		expected = conn->local_start + (__u32)conn->sent + length;
		seen = TCP_FIELD(tp, write_seq) - written_into(conn->record.header.socket);
	} else {
		expected = conn->peer_start + (__u32)conn->received + length;
		seen = TCP_FIELD(tp, copied_seq);
	}
	gap = seen - expected;
	if (!sending && gap && conn->peer_closed)
		gap--; /* the call read the FIN too */
	if (!gap || gap >> 31)
		return;
	account(LEDGER_EVENT_GAP);
	conn->record.header.flags |= CAPTURE_UNSEEN;
	if (conn->record.header.role == ROLE_SERVER)
		distrust(conn->record.header.process);
	if (sending)
		conn->sent += gap;
	else
		conn->received += gap;
}

/* Body bytes of a request that was answered before it was complete. */
static __always_inline bool discarded(struct connection *conn, const struct io *io, __u32 length)
{
	if (conn->request_due) {
		conn->request_due = conn->request_due > length ? conn->request_due - length : 0;
		return true;
	}
	if (conn->discard_chunks) {
		look_for_last_chunk(conn, &conn->request, io, length);
		conn->discard_chunks = !(conn->request.flags & MESSAGE_LAST_CHUNK);
		return true;
	}
	return false;
}

/* Whether a request's bytes are to be taken. */
static __always_inline bool open_request(struct connection *conn, struct call *call, struct sock *sk,
					 __u32 length, bool sending, __u32 slot, __u64 now)
{
	__u32 start = FASTCGI_OTHER;

	if (conn->request.state == HEAD_FASTCGI && conn->phase != PHASE_REQUEST)
		start = fastcgi_start(length, slot);
	if (conn->phase == PHASE_RESPONSE &&
	    (conn->response.state == HEAD_UNKNOWN || start == FASTCGI_BEGINS))
		finish_exchange(conn, END_TURN, 0);
	if (conn->phase == PHASE_IDLE) {
		if (start == FASTCGI_GOES_ON || discarded(conn, &call->io, length))
			return false;
		finish_amending(conn);
		check_offset(conn, sk, length, sending);
		begin_exchange(conn, now, sending ? conn->sent : conn->received, call->thread);
		conn->phase = PHASE_REQUEST;
		if (conn->missed)
			conn->record.header.flags |= CAPTURE_UNSEEN;
		conn->missed = 0;
	} else {
		go_on_serving(conn);
	}
	return true;
}

/* The same of a response's. */
static __always_inline bool open_response(struct connection *conn, struct call *call, __u32 length, __u64 now)
{
	struct exchange_record *record = &conn->record;

	if (conn->phase == PHASE_IDLE) {
		if (conn->exchanges) { /* silence or a misread length had ended it too early */
			conn->amending = 1;
			exchange_awaiting(true);
			if (record->header.role == ROLE_SERVER)
				distrust(record->header.process);
			record->response_end = now;
			record->response_bytes += length;
			return false;
		}
		if (record->header.flags & CAPTURE_OLD)
			return false; /* the answer to a request from before our time */
		begin_exchange(conn, now, 0, call->thread);
		record->header.flags |= CAPTURE_SERVER_FIRST;
		conn->request.state = HEAD_UNKNOWN;
		conn->phase = PHASE_REQUEST;
	}
	return true;
}

static __always_inline void response_taken(struct connection *conn)
{
	__u32 end;

	if (only_interim(&conn->response))
		conn->phase = PHASE_REQUEST;
	end = response_ended(conn);
	if (end == END_NONE) {
		if (conn->response.state == HEAD_UNKNOWN)
			exchange_awaiting(true);
		return;
	}
	finish_exchange(conn, end, 0);
	if (end == END_UPGRADE)
		conn->mode = MODE_IGNORED;
}

/* May find that the connection belongs in stream mode; then this call is yet to be reported. */
static __always_inline void on_exchange(struct connection *conn, struct call *call, struct sock *sk,
					__u32 length, bool request, bool sending, __u32 slot, __u64 now)
{
	const struct exchange_record *record = &conn->record;
	__u64 before;
	__u32 captured;

	if (!(request ? open_request(conn, call, sk, length, sending, slot, now) :
			open_response(conn, call, length, now)))
		return;
	before = record->request_bytes;
	captured = record->request_captured;
	if (request && conn->phase == PHASE_RESPONSE && request_complete(conn)) {
		switch_to_stream(conn, call, before, captured);
		return;
	}
	if (request)
		count_request(conn, length, now);
	else
		count_response(conn, length, now);
	take(conn, call, length, request, slot);
	if (!request)
		response_taken(conn);
	else if (request_overrun(conn) ||
		 (!before && record->request_captured >= 8 && word_at(conn, 0) == HTTP2_PREFACE))
		switch_to_stream(conn, call, before, captured);
	else if (!before && conn->request.state == HEAD_UNKNOWN && conn->tls.phase == TLS_NONE &&
		 record->request_captured >= RECORD_HEADER &&
		 starts_record(word_at(conn, 0), record->header.flags & CAPTURE_OLD))
		start_handshake(conn);
}

/* Ends whatever is open, tells user space if it keeps state, and forgets the connection. */
static __noinline int end_connection(struct connection *conn, __u32 end, __u32 error)
{
	__u64 key = conn->record.header.socket;

	finish_amending(conn);
	if (conn->tls.phase == TLS_HANDSHAKE)
		report_handshake(conn, end, error);
	if (conn->phase != PHASE_IDLE)
		finish_exchange(conn, end, error);
	if (conn->followed) { /* written over the exchange's record, which nobody needs any more */
		struct close_record *closed = (struct close_record *)&conn->record;

		closed->header.kind = RECORD_CLOSE;
		closed->header.end = end;
		closed->header.error = error;
		closed->header.time = bpf_ktime_get_boot_ns();
		closed->request_bytes = closed->header.role == ROLE_CLIENT ? conn->sent : conn->received;
		closed->response_bytes = closed->header.role == ROLE_CLIENT ? conn->received : conn->sent;
		emit_for(conn, closed, sizeof(*closed), LEDGER_NOTICE_PASSED, LEDGER_NOTICE_RING_FULL);
	}
	forget_asked(conn);
	bpf_map_delete_elem(&connections, &key);
	return 0;
}

/* The socket has gone. What a TLS library has just moved through it is yet to be heard of, when its call
 * returns: until then, or until a walk finds that it has not, the connection stays. */
static __always_inline void close_connection(struct connection *conn, __u32 end, __u32 error)
{
	if (!conn->tls.within || conn->tls.ended) {
		end_connection(conn, end, error);
		return;
	}
	conn->closing = 0;
	conn->tls.ended_error = error;
	conn->tls.ended = end;
	exchange_awaiting(true);
	unlock(conn);
}

/* Gives the lock back, and does what the softirq that found it taken had to leave undone. */
static __always_inline void release(struct connection *conn)
{
	if (conn->closing) {
		close_connection(conn, conn->closing, conn->closing_error);
		return;
	}
	unlock(conn);
	if (conn->closing && try_lock(conn))
		close_connection(conn, conn->closing, conn->closing_error);
}

/* No hook sees a unix socket's close: its address may be another connection's by now, perhaps with the
 * ends exchanged. The inode's number is never given twice. */
static __noinline bool is_another_unix(const struct connection *conn, struct sock *sk)
{
	const struct record_header *header = &conn->record.header;
	__u32 inode = header->role == ROLE_CLIENT ? header->connection >> 32 : (__u32)header->connection;

	return inode != socket_inode(sk);
}

/* Ends a connection whose end was not seen; returns it where it cannot be had. Apart, for the verifier. */
static __noinline struct connection *end_another(struct connection *conn)
{
	if (!wait_lock(conn))
		return conn;
	end_connection(conn, END_FIN, 0);
	return NULL;
}

/* The connection that is remembered under a socket's address; NULL, and its end, where that was another's. */
static __always_inline struct connection *same_connection(struct connection *conn, struct sock *sk)
{
	bool unix_domain = conn->record.header.transport == TRANSPORT_UNIX;

	if (unix_domain ? is_another_unix(conn, sk) : is_another(conn, sk))
		return end_another(conn);
	return conn;
}

#ifdef BASELINE
#define COUNT_INLINE __always_inline /* part of count_bytes_of */
#else
#define COUNT_INLINE INLINE_IF_NEW
#endif

/* What was written into the call beside the application's bytes. */
static __always_inline __u32 count_written(struct connection *conn)
{
	__u32 written = take_written(conn->record.header.socket);

	if (written)
		conn->record.header.flags |= CAPTURE_WRITTEN;
	return written;
}

/* One call's bytes that an application means, under the lock. */
static __always_inline void count_meant(struct connection *conn, struct sock *sk, struct call *call,
					__u32 length, __u32 sending, __u32 slot, __u64 now)
{
	bool request = sending == (conn->record.header.role == ROLE_CLIENT);

	if (conn->mode == MODE_EXCHANGE)
		on_exchange(conn, call, sk, length, request, sending, slot, now);
	if (conn->mode == MODE_STREAM) /* from before, or from this call on */
		stream_bytes(conn, call, request ? DIRECTION_REQUEST : DIRECTION_RESPONSE,
			     sending ? conn->sent : conn->received, length, now);
	if (sending)
		conn->sent += length + count_written(conn);
	else
		conn->received += length;
}

/* One call's bytes, under the lock. */
static COUNT_INLINE int count_bytes(struct connection *conn, struct sock *sk, struct call *call, __u32 length,
				    __u32 sending)
{
	__u64 now = bpf_ktime_get_boot_ns();

	conn->last = now;
	if (call->io.kind == IO_UNREADABLE) {
		account(call->io.unseen);
		conn->record.header.flags |= CAPTURE_UNSEEN;
	}
	if (conn->tls.phase == TLS_NONE)
		count_meant(conn, sk, call, length, sending, sending, now);
	return 0;
}

#ifdef BASELINE
/* Old verifiers walk `count_bytes` for each state in which it may be called: here it is global, for the
 * same reasons as `scan_step`. */
__noinline int count_bytes_of(__u64 sk, __u32 length, int sending)
{
	struct connection *conn = find_connection(sk);
	struct call *call = this_call(sending);

	if (conn && call)
		count_bytes(conn, (struct sock *)sk, call, length, sending);
	return 0;
}
#endif

/* Nobody wants to know what passes on this connection. */
static __always_inline bool refuse_mode(const struct connection *conn)
{
	if (conn->mode < MODE_IGNORED)
		return false;
	account(conn->mode == MODE_OWN ? LEDGER_EVENT_SELF : LEDGER_EVENT_IGNORED);
	return true;
}

/*
 * The connection that a call's bytes belong to, locked; NULL where they are none of ours, which is
 * counted. Most calls of a host may be an excluded process's: that is told before anything is looked
 * up. An exchange that such a process has open stays so until its socket closes.
 */
static __always_inline struct connection *enter_connection(struct sock *sk, __u32 tgid, __u32 length,
							   bool sending)
{
	struct connection *conn;

	if (refuse_excluded(tgid))
		return NULL;
	conn = find_connection((__u64)sk);
	if (conn)
		conn = same_connection(conn, sk);
	if (conn && refuse_mode(conn))
		return NULL;
	if (conn && conn->record.header.process == tgid && conn->record.header.ruleset == current_ruleset())
		return wait_lock(conn) ? conn : NULL;
	return admit(conn, sk, length, sending);
}

static __always_inline void on_bytes(struct sock *sk, struct call *call, __u32 length, bool sending)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct connection *conn = enter_connection(sk, thread >> 32, length, sending);

	if (!conn)
		return;
	call->thread = thread;
#ifdef BASELINE
	count_bytes_of(conn->record.header.socket, length, sending); /* `sk` may be no scalar */
#else
	count_bytes(conn, sk, call, length, sending);
#endif
	if (conn->tls.phase != TLS_NONE) /* from before, or from this call on */
		on_ciphertext(conn, length, sending);
	release(conn);
}

static __always_inline void on_send(struct sock *sk, struct call *call, long result)
{
	if (result > 0)
		on_bytes(sk, call, result, true);
}

/* The FIN is the response's last word where nothing else ends it, and so its time is too. */
static __always_inline void finish_by_fin(struct connection *conn)
{
	if (conn->phase == PHASE_RESPONSE && conn->response.state == HEAD_DONE)
		conn->record.response_end = bpf_ktime_get_boot_ns();
	finish_exchange(conn, END_FIN, 0);
}

/* A read that found the peer's FIN ends a response that lasts until close. */
static __noinline int on_end_of_stream(struct sock *sk)
{
	struct connection *conn = find_connection((__u64)sk);

	if (!conn || conn->record.header.role != ROLE_CLIENT || conn->phase != PHASE_RESPONSE)
		return 0;
	if (!try_lock(conn))
		return 0; /* its close ends it */
	if (conn->phase == PHASE_RESPONSE)
		finish_by_fin(conn);
	release(conn);
	return 0;
}

static __always_inline void on_receive(struct sock *sk, struct call *call, long result)
{
	if (result > 0)
		on_bytes(sk, call, result, false);
	else if (!result)
		on_end_of_stream(sk);
}

#endif
