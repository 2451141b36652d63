/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BoringSSL and OpenSSL: SSL_write and SSL_read on a descriptor that it was given.
 *
 * With PEEKS, with a look at the plaintext before each read: SSL_peek takes nothing, and SSL_read has the same
 * bytes once more, of which none has to be received then.
 */
#include "client.h"

#include <openssl/ssl.h>

static SSL *session;

int tls_open(int descriptor, const char *host, const char *authority)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());

	if (!context || SSL_CTX_load_verify_locations(context, authority, NULL) != 1)
		return -1;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	session = SSL_new(context);
	if (!session || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) != 1)
		return -1;
	SSL_set_fd(session, descriptor);
	return SSL_connect(session) == 1 ? 0 : -1;
}

long tls_write(const void *data, size_t length)
{
	return SSL_write(session, data, length);
}

long tls_read(void *into, size_t room)
{
#ifdef PEEKS
	int seen = SSL_peek(session, into, room);

	if (seen <= 0)
		return seen;
#endif
	return SSL_read(session, into, room);
}

void tls_close(void)
{
	SSL_shutdown(session);
	SSL_free(session);
}
