/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP over a loopback socket whose bytes go in and out by a chosen way.
 *
 *   ways server PORT IN OUT END COUNT      takes one connection with COUNT requests
 *   ways client PORT IN OUT END COUNT MARK asks for /way?n=MARK-0, MARK-1, ...
 *
 * END is how this side leaves: close, shutdown (it says first that it sends no more) or reset.
 * A client whose OUT is fast_open sends its first request in the SYN. A client prints a JSON line
 * for each request: when it began and how long it took by its own clock, in nanoseconds.
 */
#include "ways.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY 600
#define BUFFER 4096

static const struct way *find(const struct way *ways, const char *name)
{
	for (; ways->name; ways++)
		if (!strcmp(ways->name, name))
			return ways;
	errx(2, "no way is called %s", name);
}

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void send_all(int socket, const struct way *out, char *bytes, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t moved = out->move(socket, bytes + done, length - done);

		if (moved < 0)
			err(1, "%s", out->name);
		done += moved;
	}
}

/* Receives one message, its body included; returns its length, 0 when the peer has left. */
static size_t receive_message(int socket, const struct way *in, char *bytes, size_t body)
{
	size_t have = 0;

	for (;;) {
		ssize_t moved = in->move(socket, bytes + have, BUFFER - 1 - have);
		char *end;

		if (moved < 0)
			err(1, "%s", in->name);
		if (moved == 0)
			return 0;
		have += moved;
		bytes[have] = 0;
		end = strstr(bytes, "\r\n\r\n");
		if (end && have >= (size_t)(end + 4 - bytes) + body)
			return have;
	}
}

static void leave(int socket, const char *how)
{
	struct linger at_once = {.l_onoff = 1};
	char rest[64];

	if (!strcmp(how, "shutdown")) {
		shutdown(socket, SHUT_WR);
		while (read(socket, rest, sizeof(rest)) > 0)
			;
	} else if (!strcmp(how, "reset")) {
		/* The peer has what was sent before the reset throws it away. */
		usleep(50000);
		setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
	close(socket);
}

static struct sockaddr_in loopback(const char *port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void serve(const char *port, const struct way *in, const struct way *out, const char *end, int count)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), connection, on = 1, queue = 5;
	struct sockaddr_in address = loopback(port);
	char request[BUFFER], response[BUFFER];
	int length;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 5))
		err(1, "port %s", port);
	connection = accept(listener, NULL, NULL);
	setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	length = sprintf(response, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY);
	memset(response + length, 'x', BODY);
	while (count-- && receive_message(connection, in, request, 0))
		send_all(connection, out, response, length + BODY);
	leave(connection, end);
}

static int connect_with(const char *port, char *request, size_t length, int fast_open)
{
	struct sockaddr_in address = loopback(port);
	int descriptor = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fast_open) {
		if (sendto(descriptor, request, length, MSG_FASTOPEN, (struct sockaddr *)&address,
			   sizeof(address)) != (ssize_t)length)
			err(1, "fast open");
	} else if (connect(descriptor, (struct sockaddr *)&address, sizeof(address))) {
		err(1, "connect");
	}
	setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return descriptor;
}

static void call(const char *port, const struct way *in, const char *out_name, const char *end, int count,
		 const char *mark)
{
	int fast_open = !strcmp(out_name, "fast_open"), connection = -1;
	const struct way *out = find(ways_out, fast_open ? "write" : out_name);
	char request[BUFFER], response[BUFFER];

	for (int i = 0; i < count; i++) {
		int length = snprintf(request, sizeof(request), "GET /way?n=%s-%d HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n",
				      mark, i, port);
		long long start, began;
		int connecting = connection < 0;

		/* Not part of a request: the span of one begins with its first byte. */
		if (connecting && !fast_open)
			connection = connect_with(port, request, length, 0);
		began = now(CLOCK_MONOTONIC);
		start = now(CLOCK_REALTIME);
		if (connecting && fast_open)
			connection = connect_with(port, request, length, 1);
		else
			send_all(connection, out, request, length);
		if (i == count - 1 && !strcmp(end, "shutdown"))
			shutdown(connection, SHUT_WR);
		if (!receive_message(connection, in, response, BODY))
			errx(1, "the server left without an answer");
		printf("{\"n\": \"%s-%d\", \"start_ns\": %lld, \"duration_ns\": %lld, \"status\": %.3s}\n", mark, i,
		       start, now(CLOCK_MONOTONIC) - began, response + 9);
	}
	leave(connection, end);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	alarm(20);
	if (argc == 7 && !strcmp(argv[1], "server"))
		serve(argv[2], find(ways_in, argv[3]), find(ways_out, argv[4]), argv[5], atoi(argv[6]));
	else if (argc == 8 && !strcmp(argv[1], "client"))
		call(argv[2], find(ways_in, argv[3]), argv[4], argv[5], atoi(argv[6]), argv[7]);
	else
		errx(2, "usage: ways server PORT IN OUT END COUNT | client PORT IN OUT END COUNT MARK");
	return 0;
}
