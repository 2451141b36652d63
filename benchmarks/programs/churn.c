// Processes that live for a moment, at a steady rate: churn RATE SECONDS
//
// Says the port that it listens on. Then it starts RATE pairs of processes a second, each by fork and exec:
// one takes a connection, answers one request and ends; the other asks once and ends. There are no more than
// ALIVE at a time: a host that is too slow has fewer. Waits for the last, and says how many there were as JSON.
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LISTENING 3
#define ALIVE 1000
#define BACKLOG 4096
#define PATIENCE_SECONDS 20

static const char request[] = "GET /moment HTTP/1.1\r\nHost: churn\r\nConnection: close\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

extern char **environ;

static long ended, well; /* children, and those of them whose status was 0 */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int serve(void)
{
	char asked[sizeof(request)];
	int fd = accept(LISTENING, NULL, NULL);

	if (fd < 0 || recv(fd, asked, sizeof(request) - 1, MSG_WAITALL) != sizeof(request) - 1)
		return 1;
	return send(fd, answer, sizeof(answer) - 1, 0) != sizeof(answer) - 1;
}

static int ask(int port)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
	char answered[sizeof(answer)];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)))
		return 1;
	if (send(fd, request, sizeof(request) - 1, 0) != sizeof(request) - 1)
		return 1;
	return recv(fd, answered, sizeof(answer) - 1, MSG_WAITALL) != sizeof(answer) - 1;
}

static void start(char *itself, char *what, char *port)
{
	char *words[] = {itself, what, port, NULL};
	pid_t child;

	errno = posix_spawn(&child, itself, NULL, NULL, words, environ);
	if (errno)
		err(1, "posix_spawn");
}

/* Takes those that have ended; with `all` it waits until there are none any more. */
static void take_ended(int all)
{
	int status;

	while (waitpid(-1, &status, all ? 0 : WNOHANG) > 0) {
		ended++;
		well += status == 0;
	}
}

static int listening(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (dup2(fd, LISTENING) < 0 || bind(LISTENING, (struct sockaddr *)&address, length) ||
	    listen(LISTENING, BACKLOG) || getsockname(LISTENING, (struct sockaddr *)&address, &length))
		err(1, "listen");
	if (fd != LISTENING)
		close(fd);
	return ntohs(address.sin_port);
}

int main(int count, char **words)
{
	double began, rate, seconds;
	long pairs = 0;
	char port[8];

	if (count != 3)
		errx(2, "churn RATE SECONDS");
	if (!strcmp(words[1], "serve") || !strcmp(words[1], "ask")) {
		alarm(PATIENCE_SECONDS);
		return words[1][0] == 's' ? serve() : ask(atoi(words[2]));
	}
	rate = atof(words[1]);
	seconds = atof(words[2]);
	snprintf(port, sizeof(port), "%d", listening());
	printf("%s\n", port);
	fflush(stdout);
	getchar();
	began = now();
	while (now() - began < seconds) {
		for (; pairs < (now() - began) * rate && 2 * pairs - ended < ALIVE; pairs++) {
			start(words[0], "serve", port);
			start(words[0], "ask", port);
		}
		take_ended(0);
		usleep(1000);
	}
	seconds = now() - began;
	take_ended(1);
	printf("{\"pairs\": %ld, \"processes\": %ld, \"seconds\": %.3f}\n", pairs, well, seconds);
	return 0;
}
