/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by NSPR without TLS, each to a plain socket and through a pipe to itself: PORT MARK COUNT METHOD. */
#include <prerror.h>
#include <prio.h>
#include <prnetdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static void give_up(const char *what)
{
	fprintf(stderr, "%s failed: %d\n", what, (int)PR_GetError());
	exit(1);
}

static PRFileDesc *connect_to(PRUint16 port)
{
	PRFileDesc *made = PR_OpenTCPSocket(PR_AF_INET);
	PRNetAddr address;

	PR_InitializeNetAddr(PR_IpAddrLoopback, port, &address);
	if (!made || PR_Connect(made, &address, PR_INTERVAL_NO_TIMEOUT) != PR_SUCCESS)
		give_up("connect");
	return made;
}

static void pass(PRFileDesc *from, PRFileDesc *into, const char *text)
{
	char part[512];

	if (PR_Write(into, text, strlen(text)) != (PRInt32)strlen(text))
		give_up("write");
	if (PR_Read(from, part, sizeof(part)) <= 0)
		give_up("read");
}

int main(int count, char **arguments)
{
	PRFileDesc *reads, *writes;
	char request[256];

	if (count != 5 || PR_CreatePipe(&reads, &writes) != PR_SUCCESS)
		give_up("reading PORT MARK COUNT METHOD");
	for (int i = 0; i < atoi(arguments[3]); i++) {
		PRFileDesc *server = connect_to(atoi(arguments[1]));

		snprintf(request, sizeof(request),
			 "%s /json?n=%s-%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", arguments[4],
			 arguments[2], i);
		pass(server, server, request);
		pass(reads, writes, request);
		pass(reads, writes, answer);
		PR_Close(server);
	}
	return 0;
}
