/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's session object on one socket and then on another, both open to the end:
 *
 *     rebound again|silently|moved HOST PORT OTHER_PORT MARK COUNT
 *
 * COUNT requests on the first connection, and COUNT on the other. `again` clears the object and makes another
 * handshake; `silently` does the same by BIOs, so that no descriptor is named; `moved` goes on amid the
 * session, which takes somebody in between who does so too.
 */
#include "http.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void use(int descriptor, const char *mode)
{
	BIO *silent = strcmp(mode, "silently") ? NULL : BIO_new_socket(descriptor, BIO_NOCLOSE);

	if (silent)
		SSL_set_bio(session, silent, silent);
	else
		SSL_set_fd(session, descriptor);
}

static void handshake(void)
{
	if (SSL_connect(session) != 1)
		give_up("the handshake");
}

static void ask_often(const char *host, const char *port, const char *mark, int from, int to)
{
	char name[64], authority[80];

	snprintf(authority, sizeof(authority), "%s:%s", host, port);
	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "%s-%d", mark, i);
		ask("GET", authority, "/json", name);
	}
}

int main(int words, char **word)
{
	int first, other, count;

	if (words != 7)
		give_up("reading MODE HOST PORT OTHER_PORT MARK COUNT");
	count = atoi(word[6]);
	make_session();
	first = connect_to(word[2], atoi(word[3]));
	use(first, word[1]);
	handshake();
	ask_often(word[2], word[3], word[5], 0, count);
	other = connect_to(word[2], atoi(word[4]));
	if (strcmp(word[1], "moved") && !SSL_clear(session))
		give_up("clearing the session");
	use(other, word[1]);
	if (strcmp(word[1], "moved"))
		handshake();
	ask_often(word[2], word[4], word[5], count, 2 * count);
	SSL_shutdown(session);
	SSL_free(session);
	return 0;
}
