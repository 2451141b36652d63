/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's session of the programs that handle theirs by themselves. */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <openssl/ssl.h>

extern SSL *session;

/* Make it a client's, that trusts the authorities in the PEM file SSL_CERT_FILE. */
void make_session(void);

#endif
