/* SPDX-License-Identifier: Apache-2.0 */
/* mbedTLS: mbedtls_ssl_write and mbedtls_ssl_read, on its own socket callbacks. */
#include "client.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>

static mbedtls_ssl_context session;
static mbedtls_ssl_config configuration;
static mbedtls_x509_crt trusted;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_source;
static mbedtls_net_context connection;

int tls_open(int descriptor, const char *host, const char *authority)
{
	int failed = 0;

	(void)host; /* 2.28 knows no IP address among a certificate's names: only the chain is verified. */
	mbedtls_ssl_init(&session);
	mbedtls_ssl_config_init(&configuration);
	mbedtls_x509_crt_init(&trusted);
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random_source);
	connection.fd = descriptor;
	failed |= mbedtls_ctr_drbg_seed(&random_source, mbedtls_entropy_func, &entropy, NULL, 0);
	failed |= mbedtls_x509_crt_parse_file(&trusted, authority);
	failed |= mbedtls_ssl_config_defaults(&configuration, MBEDTLS_SSL_IS_CLIENT,
					      MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	mbedtls_ssl_conf_rng(&configuration, mbedtls_ctr_drbg_random, &random_source);
	mbedtls_ssl_conf_ca_chain(&configuration, &trusted, NULL);
	failed |= mbedtls_ssl_setup(&session, &configuration);
	mbedtls_ssl_set_bio(&session, &connection, mbedtls_net_send, mbedtls_net_recv, NULL);
	return failed ? failed : mbedtls_ssl_handshake(&session);
}

long tls_write(const void *data, size_t length)
{
	return mbedtls_ssl_write(&session, data, length);
}

long tls_read(void *into, size_t room)
{
	return mbedtls_ssl_read(&session, into, room);
}

void tls_close(void)
{
	mbedtls_ssl_close_notify(&session);
	mbedtls_ssl_free(&session);
}
