/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FastCGI 1.0: where a request begins and ends, and which trace it belongs to. User space reads the rest.
 *
 * Web servers have one request at a time on a connection, and call it 1. A connection that has others is none
 * that is followed here.
 */
#ifndef OTEL_EBPF_FASTCGI_H
#define OTEL_EBPF_FASTCGI_H

#include "call.h"
#include "exchange.h"

/* The headers of records: version, type, request, length, padding. */
#define FASTCGI_BEGIN WORD(1, 1, 0, 1, 0, 8, 0, 0)
#define FASTCGI_END WORD(1, 3, 0, 1, 0, 8, 0, 0)
#define FASTCGI_INPUT WORD(1, 5, 0, 1, 0, 0, 0, 0)
#define END_RECORD 16 /* its header and its body */

#define FIRST_PARAMETER 24 /* behind BEGIN_REQUEST, and the header of PARAMS */
#define PARAMETERS_MAX 64 /* looked at in one call */
#define HTTP_TRA WORD('H', 'T', 'T', 'P', '_', 'T', 'R', 'A')
#define CEPARENT WORD('C', 'E', 'P', 'A', 'R', 'E', 'N', 'T')
#define CONTEXT_NAME 16
#define CONTEXT_VALUE 55
#define NO_PARAMETER (1 << 24) /* a length, or a place, behind anything that is captured */

enum fastcgi_start {
	FASTCGI_OTHER = 0,
	FASTCGI_BEGINS = 1,
	FASTCGI_GOES_ON = 2, /* more input of a request, or the record that ends it */
};

/* What no HTTP request begins with: of these bytes FastCGI's are the ones that are followed. */
static __always_inline __u8 state_of_binary(struct connection *conn, const struct message *message)
{
	__u64 first = word_at(conn, message->line);

	if (message->end - message->line < 8 || (first ^ FASTCGI_BEGIN) & LOW_BYTES(6))
		return HEAD_UNKNOWN;
	return HEAD_FASTCGI;
}

/* What a call on a connection begins with on which requests have been answered. PHP leaves the empty record that
 * ends a request's input unread until it waits for the next. Global, so that the verifier walks it once. */
__noinline int fastcgi_start(__u32 length, int slot)
{
	struct call *call = this_call(slot);
	__u64 word;

	if (!call || copy_bytes(call->data, 0, 8, 8, 8, &call->io, length) != 8)
		return FASTCGI_OTHER;
	word = *(__u64 *)call->data;
	if (!((word ^ FASTCGI_BEGIN) & LOW_BYTES(6)))
		return FASTCGI_BEGINS;
	return (word ^ FASTCGI_INPUT) & LOW_BYTES(4) ? FASTCGI_OTHER : FASTCGI_GOES_ON;
}

/* The request is over where its last record is the last that a call moved. One that is cut by two reads is not
 * found: then the next request ends it, or the connection's close. */
static __always_inline void look_for_end_record(struct message *message, const struct io *io, __u32 length)
{
	struct user_iovec last;
	__u64 header;

	if (!last_buffer(&last, io, length) || last.length < END_RECORD ||
	    read_bytes(&header, sizeof(header), last.base + last.length - END_RECORD,
		       io->kind == IO_KERNEL_BUFFERS))
		return;
	if (header == FASTCGI_END)
		message->flags |= MESSAGE_LAST_CHUNK;
}

/* Looks at one captured parameter (name, value), and goes on to the next. Returns whether there is one. Global for
 * the same reasons as `scan_step`. */
__noinline int parameter_step(__u64 sk)
{
	struct connection *conn = find_connection(sk);
	__u32 name, value, size = 2;
	__u64 at, lengths;

	if (!conn)
		return 0;
	at = conn->request.position;
	if (at + 2 + CONTEXT_NAME + CONTEXT_VALUE > conn->record.request_captured)
		return 0;
	lengths = word_at(conn, at);
	name = lengths & 0xff;
	value = lengths >> 8 & 0xff;
	if (name & 0x80) { /* longer than any that is looked at, or no name */
		value = NO_PARAMETER;
	} else if (value & 0x80) {
		value = bpf_ntohl(lengths >> 8) & (NO_PARAMETER - 1);
		size = 5;
	} else if (name == CONTEXT_NAME && value == CONTEXT_VALUE && word_at(conn, at + 2) == HTTP_TRA &&
		   word_at(conn, at + 10) == CEPARENT) {
		conn->request.context_at = at + 2 + CONTEXT_NAME;
		value = NO_PARAMETER;
	}
	conn->request.position = at + size + name + value;
	return 1;
}

static __always_inline void look_for_context(struct connection *conn)
{
	if (conn->request.position < FIRST_PARAMETER)
		conn->request.position = FIRST_PARAMETER;
	for (int i = 0; i < PARAMETERS_MAX; i++)
		if (!parameter_step(conn->record.header.socket))
			break;
}

/* Follows a message of a connection that speaks FastCGI through one more call. Global for the same reasons as
 * `scan_step`. */
__noinline int follow_fastcgi(__u64 sk, __u32 length, int request, int slot)
{
	struct connection *conn = find_connection(sk);
	struct call *call = this_call(slot);

	if (!conn || !call)
		return 0;
	if (request)
		look_for_context(conn);
	else
		look_for_end_record(&conn->response, &call->io, length);
	return 0;
}

#endif
