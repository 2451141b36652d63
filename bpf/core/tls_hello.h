/* SPDX-License-Identifier: Apache-2.0 */
/* What a handshake settled, as far as its first server's message says it in clear. */
#ifndef OTEL_EBPF_TLS_HELLO_H
#define OTEL_EBPF_TLS_HELLO_H

#include <bpf/bpf_endian.h>
#include "head.h"

/* RFC 8446, 4.1.3 and 4.2: where things stand behind the record's header of 5 bytes. */
#define HELLO_VERSION 9
#define HELLO_RANDOM 11
#define HELLO_SESSION 43 /* length of the session id, which follows */
#define HELLO_CIPHER 44 /* behind the session id: cipher, compression, length of the extensions */
#define HELLO_EXTENSIONS 49

#define TLS_1_3 0x0304
#define HANDSHAKE_SERVER_HELLO 2
#define EXTENSION_PROTOCOL 16 /* RFC 7301 */
#define EXTENSION_SHARED_KEY 41
#define EXTENSION_VERSIONS 43
#define EXTENSIONS_MAX 8 /* more than servers send */
#define RETRY_RANDOM WORD(0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11) /* of a HelloRetryRequest */

static __always_inline __u16 number_at(struct connection *conn, __u64 at)
{
	return bpf_ntohs((__u16)word_at(conn, at));
}

static __always_inline __u8 protocol_at(struct connection *conn, __u64 at)
{
	__u64 word = word_at(conn, at + 2); /* behind the list's length */

	if ((word & LOW_BYTES(3)) == WORD(2, 'h', '2', 0, 0, 0, 0, 0))
		return TLS_PROTOCOL_HTTP2;
	if (word == WORD(8, 'h', 't', 't', 'p', '/', '1', '.'))
		return TLS_PROTOCOL_HTTP1;
	return TLS_PROTOCOL_OTHER;
}

/* Global for the same reasons as `scan_step`. */
__noinline int read_hello(__u64 sk)
{
	struct connection *conn = find_connection(sk);
	struct tls_facts *facts;
	__u64 at, end;
	bool shared_key = false, retry;

	if (!conn)
		return 0;
	facts = &conn->record.header.tls;
	at = conn->record.request_captured;
	end = at + conn->record.response_captured;
	if (at + HELLO_EXTENSIONS > end || byte_at(conn, at + 5) != HANDSHAKE_SERVER_HELLO)
		return 0;
	facts->version = number_at(conn, at + HELLO_VERSION);
	retry = word_at(conn, at + HELLO_RANDOM) == RETRY_RANDOM;
	at += byte_at(conn, at + HELLO_SESSION);
	facts->cipher = number_at(conn, at + HELLO_CIPHER);
	at += HELLO_EXTENSIONS;
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		__u16 kind = number_at(conn, at), size = number_at(conn, at + 2);

		if (at + 4 > end)
			break;
		if (kind == EXTENSION_VERSIONS)
			facts->version = number_at(conn, at + 4);
		else if (kind == EXTENSION_SHARED_KEY)
			shared_key = true;
		else if (kind == EXTENSION_PROTOCOL)
			facts->protocol = protocol_at(conn, at + 4);
		at += 4 + size;
	}
	if (facts->version == TLS_1_3) /* of a second hello nothing is known */
		facts->resumed = shared_key ? 2 : !retry;
	return 0;
}

#endif
