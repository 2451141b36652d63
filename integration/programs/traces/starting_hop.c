/* A hop, a thread for each connection, which asks each of the ports of a hop in a thread of its own: PORT. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 4096
#define ASKS_MAX 16

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nend\n";

struct ask {
	pthread_t thread;
	uint16_t port;
	char target[HEAD_MAX + 64];
};

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* Reads until the blank line. Returns 0 when the connection ends before. */
static int read_head(int connection, char *head)
{
	size_t length = 0;

	while (length < HEAD_MAX - 1) {
		ssize_t count = recv(connection, head + length, HEAD_MAX - 1 - length, 0);

		if (count <= 0)
			return 0;
		length += count;
		head[length] = '\0';
		if (strstr(head, "\r\n\r\n"))
			return 1;
	}
	return 0;
}

static void *ask(void *argument)
{
	struct ask *one = argument;
	struct sockaddr_in address = loopback(one->port);
	int connection = socket(AF_INET, SOCK_STREAM, 0);
	char request[HEAD_MAX + 128], answer[HEAD_MAX];
	int length = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
			      one->target);

	if (connect(connection, (struct sockaddr *)&address, sizeof(address)) ||
	    send(connection, request, length, MSG_NOSIGNAL) != length || !read_head(connection, answer))
		abort();
	close(connection);
	return NULL;
}

/* Goes by the first hop of `target`, /walk/NUMBER/HOPS/...?QUERY. */
static void walk(const char *target)
{
	static __thread struct ask asks[ASKS_MAX];
	char number[32], hop[256], rest[HEAD_MAX], *port, *next;
	int count = 0;

	if (sscanf(target, "/walk/%31[0-9]/%255[0-9+]%4095s", number, hop, rest) != 3)
		return;
	for (port = strtok_r(hop, "+", &next); port && count < ASKS_MAX; port = strtok_r(NULL, "+", &next)) {
		struct ask *one = &asks[count++];

		one->port = atoi(port);
		snprintf(one->target, sizeof(one->target), "/walk/%s%s", number, rest);
		if (pthread_create(&one->thread, NULL, ask, one))
			abort();
	}
	while (count)
		pthread_join(asks[--count].thread, NULL);
}

static void *serve(void *argument)
{
	int connection = (intptr_t)argument;
	char head[HEAD_MAX], target[HEAD_MAX];

	while (read_head(connection, head) && sscanf(head, "GET %4095s", target) == 1) {
		walk(target);
		if (send(connection, ANSWER, sizeof(ANSWER) - 1, MSG_NOSIGNAL) < 0)
			break;
	}
	close(connection);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = loopback(argc > 1 ? atoi(argv[1]) : 0);
	int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 256))
		return 1;
	for (;;) {
		pthread_t thread;
		int connection = accept(listener, NULL, NULL);

		if (connection < 0 || pthread_create(&thread, NULL, serve, (void *)(intptr_t)connection))
			return 1;
		pthread_detach(thread);
	}
}
