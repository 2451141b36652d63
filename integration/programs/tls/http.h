/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP over the session of client.h, and what else the clients in C share. Who fails says so and exits. */
#ifndef TLS_HTTP_H
#define TLS_HTTP_H

void give_up(const char *what);

int connect_to(const char *host, int port);

/* Make one request, read its response, and print what that took, as every client of the suite does. */
void ask(const char *method, const char *authority, const char *path, const char *name);

#endif
