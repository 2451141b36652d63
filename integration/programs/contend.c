/* SPDX-License-Identifier: Apache-2.0 */
/* contend COUNT: two threads send on one connection as fast as they can, and a third reads. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int writer, reader;
static long count;

static void *flood(void *unused)
{
	static const char block[8192] = "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";

	for (long i = 0; i < count; i++)
		if (send(writer, block, sizeof(block), 0) < 0)
			exit(1);
	return unused;
}

static void *drain(void *unused)
{
	static char block[65536];

	while (recv(reader, block, sizeof(block), 0) > 0)
		;
	return unused;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	pthread_t first, second, third;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	count = argc > 1 ? atol(argv[1]) : 0;
	writer = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &size) ||
	    connect(writer, (struct sockaddr *)&address, size))
		return 1;
	reader = accept(listener, NULL, NULL);
	pthread_create(&third, NULL, drain, NULL);
	pthread_create(&first, NULL, flood, NULL);
	pthread_create(&second, NULL, flood, NULL);
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	close(writer);
	pthread_join(third, NULL);
	return 0;
}
