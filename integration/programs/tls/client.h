/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS session over a connected socket, as client.c wants it of every library. */
#ifndef TLS_CLIENT_H
#define TLS_CLIENT_H

#include <stddef.h>

/* Make the handshake on `descriptor`; trust the authorities in the PEM file `authority`. 0 for success. */
int tls_open(int descriptor, const char *host, const char *authority);

/* Both return the bytes that went, 0 at the end of the stream, negative for an error. */
long tls_write(const void *data, size_t length);
long tls_read(void *into, size_t room);

void tls_close(void);

#endif
