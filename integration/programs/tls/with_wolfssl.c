/* SPDX-License-Identifier: Apache-2.0 */
/* wolfSSL: wolfSSL_write and wolfSSL_read on a descriptor that it was given. */
#include "client.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static WOLFSSL *session;

int tls_open(int descriptor, const char *host, const char *authority)
{
	WOLFSSL_CTX *context;

	wolfSSL_Init();
	context = wolfSSL_CTX_new(wolfSSLv23_client_method());
	if (!context || wolfSSL_CTX_load_verify_locations(context, authority, NULL) != WOLFSSL_SUCCESS)
		return -1;
	session = wolfSSL_new(context);
	if (!session || wolfSSL_check_domain_name(session, host) != WOLFSSL_SUCCESS)
		return -1;
	wolfSSL_set_fd(session, descriptor);
	return wolfSSL_connect(session) == WOLFSSL_SUCCESS ? 0 : -1;
}

long tls_write(const void *data, size_t length)
{
	return wolfSSL_write(session, data, length);
}

long tls_read(void *into, size_t room)
{
	return wolfSSL_read(session, into, room);
}

void tls_close(void)
{
	wolfSSL_shutdown(session);
	wolfSSL_free(session);
}
