/* SPDX-License-Identifier: Apache-2.0 */
/* Stream mode: every send and receive is a record, and user space pairs them. */
#ifndef OTEL_EBPF_STREAM_H
#define OTEL_EBPF_STREAM_H

#include "take.h"

static __always_inline void send_piece(struct connection *conn, struct call *call, __u64 captured)
{
	__u64 size = conn->path_length;

	call->piece.captured = captured;
	call->piece.path_captured = 0;
	OPAQUE(captured);
	OPAQUE(size);
	if (captured > PIECE_CAPTURE_MAX || size > 108)
		return;
	if (size) {
		bpf_probe_read_kernel(call->data + captured, size, conn->path);
		call->piece.path_captured = size;
	}
	size += captured + sizeof(call->piece);
	account(LEDGER_PIECE_SEEN);
	emit_for(conn, &call->piece, size, LEDGER_PIECE_PASSED, LEDGER_PIECE_RING_FULL);
}

static __always_inline void start_piece(struct connection *conn, struct call *call, __u32 direction,
					__u64 offset, __u64 time, __u32 length)
{
	call->piece.header = conn->record.header;
	__builtin_memset(&call->piece.header.context, 0, sizeof(struct trace_context));
	call->piece.header.kind = RECORD_PIECE;
	call->piece.header.end = END_NONE;
	call->piece.header.error = 0;
	call->piece.header.offset = offset;
	call->piece.header.time = time;
	call->piece.direction = direction;
	call->piece.length = length;
	if (length > conn->record.request_captured)
		call->piece.header.flags |= CAPTURE_TRUNCATED;
}

/* The context of what the piece begins with, if a request begins there; the next ones in it are user space's. */
static __always_inline void settle_piece(struct connection *conn, struct call *call)
{
	conn->record.header.offset = call->piece.header.offset;
	settle_context(conn);
	call->piece.header.context = conn->record.header.context;
}

static __always_inline void stream_bytes(struct connection *conn, struct call *call, __u32 direction,
					 __u64 offset, __u32 length, __u64 now)
{
	__u32 done;

	start_piece(conn, call, direction, offset, now, length);
	call->piece.header.thread = call->thread;
	if (direction == DIRECTION_REQUEST)
		settle_piece(conn, call);
	done = copy_bytes(call->data, 0, PIECE_CAPTURE_MAX, PIECE_CAPTURE_MAX, piece_capture, &call->io,
			  length);
	call->piece.header.flags &= ~CAPTURE_TRUNCATED;
	if (done < length)
		call->piece.header.flags |= CAPTURE_TRUNCATED;
	send_piece(conn, call, done);
}

/* A stretch of the exchange so far, out of the connection's own buffer. */
static __always_inline void stream_captured(struct connection *conn, struct call *call, __u32 direction,
					    __u64 offset, __u64 time, __u32 length, __u64 from,
					    __u64 captured)
{
	start_piece(conn, call, direction, offset, time, length);
	if (direction == DIRECTION_REQUEST)
		call->piece.header.context = conn->record.header.context;
	OPAQUE(from);
	OPAQUE(captured);
	if (from > window_start || captured > capture_limit)
		return;
	bpf_probe_read_kernel(call->data, captured, conn->data + from);
	call->piece.header.flags &= ~CAPTURE_TRUNCATED;
	if (captured < length)
		call->piece.header.flags |= CAPTURE_TRUNCATED;
	send_piece(conn, call, captured);
}

/*
 * The open exchange goes on as pieces: what came of it before this call first. `request_bytes` and
 * `request_captured` are what stood there before the call that made it plain.
 */
static __noinline int switch_to_stream(struct connection *conn, struct call *call, __u64 request_bytes,
				       __u32 request_captured)
{
	struct exchange_record *record = &conn->record;
	bool server_sends = record->header.role == ROLE_SERVER;

	conn->mode = MODE_STREAM;
	conn->followed = 1;
	if (server_sends)
		distrust(record->header.process);
	if (conn->phase == PHASE_IDLE)
		return 0;
	account(LEDGER_EXCHANGE_STREAMED);
	conn->phase = PHASE_IDLE;
	if (request_bytes)
		stream_captured(conn, call, DIRECTION_REQUEST, record->header.offset, record->header.time,
				request_bytes, 0, request_captured);
	if (record->response_bytes)
		stream_captured(conn, call, DIRECTION_RESPONSE,
				(server_sends ? conn->sent : conn->received) - record->response_bytes,
				record->response_start, record->response_bytes, record->request_captured,
				record->response_captured);
	return 0;
}

#endif
