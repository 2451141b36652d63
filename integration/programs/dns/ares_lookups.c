/*
 * Looks up names by c-ares, one after the other: ares_lookups NAME... prints the status of each on a line. Both
 * kinds of address are asked for.
 */
#include <ares.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/socket.h>

static void on_found(void *status, int result, int timeouts, struct ares_addrinfo *found)
{
	(void)timeouts;
	*(int *)status = result;
	if (found)
		ares_freeaddrinfo(found);
}

static void wait_for_answers(ares_channel channel)
{
	for (;;) {
		struct timeval room, *left;
		fd_set readable, writable;
		int number;

		FD_ZERO(&readable);
		FD_ZERO(&writable);
		number = ares_fds(channel, &readable, &writable);
		if (!number)
			return;
		left = ares_timeout(channel, NULL, &room);
		select(number, &readable, &writable, NULL, left);
		ares_process(channel, &readable, &writable);
	}
}

int main(int count, char **words)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC };
	ares_channel channel;

	if (ares_library_init(ARES_LIB_INIT_ALL) || ares_init(&channel))
		return 2;
	for (int i = 1; i < count; i++) {
		int status = -1;

		ares_getaddrinfo(channel, words[i], NULL, &hints, on_found, &status);
		wait_for_answers(channel);
		printf("%d\n", status);
	}
	ares_destroy(channel);
	return 0;
}
