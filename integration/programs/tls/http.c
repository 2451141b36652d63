/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HEAD 8192
#define BODY 2000

void give_up(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static long long now(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int connect_to(const char *host, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), at_once = 1;

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		give_up("reading the address");
	if (connect(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0)
		give_up("connect");
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
	return descriptor;
}

static void send_request(const char *method, const char *authority, const char *path, const char *name)
{
	static char request[HEAD + BODY];
	size_t body = strcmp(method, "POST") ? 0 : BODY, length, sent = 0;

	length = snprintf(request, HEAD, "%s %s?n=%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
			  method, path, name, authority, body);
	memset(request + length, 'y', body);
	for (length += body; sent < length;) {
		long went = tls_write(request + sent, length - sent);

		if (went <= 0)
			give_up("write");
		sent += went;
	}
}

/* Read one response to its end; return its status. */
static int read_response(void)
{
	static char part[HEAD + 1];
	size_t length = 0;
	char *end = NULL, *field;
	long body;

	while (!end) {
		long came = length < HEAD ? tls_read(part + length, HEAD - length) : 0;

		if (came <= 0)
			give_up("reading the head");
		length += came;
		part[length] = 0;
		end = strstr(part, "\r\n\r\n");
	}
	field = strcasestr(part, "\r\ncontent-length:");
	if (!field)
		give_up("finding the length");
	body = atol(field + strlen("\r\ncontent-length:")) - (long)(length - (end + 4 - part));
	int status = atoi(part + strlen("HTTP/1.1 "));
	while (body > 0) {
		long came = tls_read(part, HEAD);

		if (came <= 0)
			give_up("reading the body");
		body -= came;
	}
	return status;
}

void ask(const char *method, const char *authority, const char *path, const char *name)
{
	long long began = now(CLOCK_MONOTONIC), start = now(CLOCK_REALTIME);
	int status;

	send_request(method, authority, path, name);
	status = read_response();
	printf("{\"n\": \"%s\", \"start_ns\": %lld, \"duration_ns\": %lld, \"status\": %d}\n", name, start,
	       now(CLOCK_MONOTONIC) - began, status);
}
