/* SPDX-License-Identifier: Apache-2.0 */
/* HTTPS requests over one kept connection, timed: URL MARK COUNT METHOD, as every client of the suite.
 *
 * Linked with one of with_*.c, which each wrap one TLS library. Responses must have a Content-Length.
 * The authority to trust is in SSL_CERT_FILE.
 */
#include "client.h"
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	char host[64] = "", path[256] = "", name[64], authority[80];
	int port = 0, descriptor;

	if (count != 5 || sscanf(arguments[1], "https://%63[^:]:%d%255s", host, &port, path) != 3)
		give_up("reading URL MARK COUNT METHOD");
	snprintf(authority, sizeof(authority), "%s:%d", host, port);
	descriptor = connect_to(host, port);
	if (tls_open(descriptor, host, getenv("SSL_CERT_FILE")) != 0)
		give_up("the handshake");
	for (int i = 0; i < atoi(arguments[3]); i++) {
		snprintf(name, sizeof(name), "%s-%d", arguments[2], i);
		ask(arguments[4], authority, path, name);
	}
	tls_close();
	close(descriptor);
	return 0;
}
