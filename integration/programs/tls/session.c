/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include "client.h"

#include <stdlib.h>

SSL *session;

void make_session(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	SSL_CTX_load_verify_locations(context, getenv("SSL_CERT_FILE"), NULL);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	session = SSL_new(context);
}

long tls_write(const void *data, size_t length)
{
	return SSL_write(session, data, length);
}

long tls_read(void *into, size_t room)
{
	return SSL_read(session, into, room);
}
