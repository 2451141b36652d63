/*
 * Looks up names in each of the C library's ways: lookups FUNCTION NAME... prints the function's result (an EAI
 * code or h_errno) and the nanoseconds that it took for each, on a line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int by_getaddrinfo(const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	int result = getaddrinfo(name, "80", &hints, &found);

	if (found)
		freeaddrinfo(found);
	return result;
}

static int by_numeric(const char *name)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *found = NULL;
	int result = getaddrinfo(name, "80", &hints, &found);

	if (found)
		freeaddrinfo(found);
	return result;
}

static int by_gethostbyname(const char *name)
{
	return gethostbyname(name) ? 0 : h_errno;
}

static int by_gethostbyname2(const char *name)
{
	return gethostbyname2(name, AF_INET6) ? 0 : h_errno;
}

/* With too little room at first. */
static int by_gethostbyname_r(const char *name)
{
	struct hostent host, *found = NULL;
	char buffer[4096];
	int error = 0;

	if (gethostbyname_r(name, &host, buffer, 8, &found, &error) == ERANGE)
		gethostbyname_r(name, &host, buffer, sizeof(buffer), &found, &error);
	return found ? 0 : error;
}

/* With too little room at first, here too. */
static int by_gethostbyname2_r(const char *name)
{
	struct hostent host, *found = NULL;
	char buffer[4096];
	int error = 0;

	if (gethostbyname2_r(name, AF_INET6, &host, buffer, 8, &found, &error) == ERANGE)
		gethostbyname2_r(name, AF_INET6, &host, buffer, sizeof(buffer), &found, &error);
	return found ? 0 : error;
}

static int by_gethostbyaddr(const char *name)
{
	struct in_addr address;

	inet_aton(name, &address);
	return gethostbyaddr(&address, sizeof(address), AF_INET) ? 0 : h_errno;
}

static int by_gethostbyaddr_r(const char *name)
{
	struct in_addr address;
	struct hostent host, *found = NULL;
	char buffer[4096];
	int error = 0;

	inet_aton(name, &address);
	if (gethostbyaddr_r(&address, sizeof(address), AF_INET, &host, buffer, 8, &found, &error) == ERANGE)
		gethostbyaddr_r(&address, sizeof(address), AF_INET, &host, buffer, sizeof(buffer), &found,
				&error);
	return found ? 0 : error;
}

static int by_getnameinfo(const char *name)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char host[256];

	inet_aton(name, &address.sin_addr);
	return getnameinfo((struct sockaddr *)&address, sizeof(address), host, sizeof(host), NULL, 0,
			   NI_NAMEREQD);
}

#ifdef __GLIBC__
static int by_getaddrinfo_a(const char *name)
{
	struct gaicb request = { .ar_name = name }, *list[] = { &request };

	getaddrinfo_a(GAI_WAIT, list, 1, NULL);
	return gai_error(&request);
}
#endif

static const struct {
	const char *name;
	int (*call)(const char *name);
} ways[] = {
	{ "getaddrinfo", by_getaddrinfo },
	{ "numeric", by_numeric },
	{ "gethostbyname", by_gethostbyname },
	{ "gethostbyname2", by_gethostbyname2 },
	{ "gethostbyname_r", by_gethostbyname_r },
	{ "gethostbyname2_r", by_gethostbyname2_r },
	{ "gethostbyaddr", by_gethostbyaddr },
	{ "gethostbyaddr_r", by_gethostbyaddr_r },
	{ "getnameinfo", by_getnameinfo },
#ifdef __GLIBC__
	{ "getaddrinfo_a", by_getaddrinfo_a },
#endif
};

int main(int count, char **words)
{
	for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		if (count < 3 || strcmp(ways[way].name, words[1]))
			continue;
		for (int i = 2; i < count; i++) {
			struct timespec begin, end;
			int result;

			clock_gettime(CLOCK_MONOTONIC, &begin);
			result = ways[way].call(words[i]);
			clock_gettime(CLOCK_MONOTONIC, &end);
			printf("%d %lld\n", result,
			       (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
		}
		return 0;
	}
	return 2;
}
