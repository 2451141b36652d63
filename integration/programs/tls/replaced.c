/* SPDX-License-Identifier: Apache-2.0 */
/* A program that executes itself amid a session, and has the same address for its next one:
 *
 *     replaced HOST PORT MARK COUNT
 *
 * To be run without random addresses (setarch -R). COUNT requests in each of the two lives: the first has
 * agreed on a protocol by ALPN, and asks for it, the second has not.
 */
#include "http.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BEFORE "SESSION_BEFORE"

static void agree(void)
{
	static const unsigned char offered[] = "\x08http/1.1";

	if (SSL_set_alpn_protos(session, offered, sizeof(offered) - 1))
		give_up("offering a protocol");
}

static void check_agreed(void)
{
	const unsigned char *chosen;
	unsigned int length;

	SSL_get0_alpn_selected(session, &chosen, &length);
	if (length != 8)
		give_up("agreeing on a protocol");
}

static void ask_often(char **word, int from, int count)
{
	char name[64], authority[80];

	snprintf(authority, sizeof(authority), "%s:%s", word[1], word[2]);
	for (int i = from; i < from + count; i++) {
		snprintf(name, sizeof(name), "%s-%d", word[3], i);
		ask("GET", authority, "/1k.bin", name);
	}
}

int main(int words, char **word)
{
	const char *before = getenv(BEFORE);
	char address[32];
	int count;

	if (words != 5)
		give_up("reading HOST PORT MARK COUNT");
	count = atoi(word[4]);
	make_session();
	snprintf(address, sizeof(address), "%p", (void *)session);
	if (before && strcmp(before, address))
		give_up("getting the same address again");
	if (!before)
		agree();
	SSL_set_fd(session, connect_to(word[1], atoi(word[2])));
	if (SSL_connect(session) != 1)
		give_up("the handshake");
	if (!before)
		check_agreed();
	ask_often(word, before ? count : 0, count);
	fflush(stdout);
	if (before)
		return 0;
	setenv(BEFORE, address, 1);
	execv("/proc/self/exe", word);
	give_up("executing itself");
}
