// Many open connections at a steady rate: connections PORT CONNECTIONS RATE SECONDS REQUESTS_EACH
//
// Opens all connections, says `open`, then sends RATE requests a second over them in turn. After
// REQUESTS_EACH requests a connection is closed and opened anew (0: never). Waits for the last
// responses, and says how many there were as JSON. Responses must be small and have a Content-Length.
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 1024
#define RESPONSE 4096
#define DRAIN_SECONDS 5.0

struct connection {
	int fd;
	int busy;
	long requests;
	size_t filled;
	char response[RESPONSE];
};

static struct sockaddr_in server;
static struct connection *connections;
static int count, poller;
static long each, sent, answered, reopened;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void open_connection(struct connection *one)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
	int yes = 1;

	one->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (one->fd < 0 || connect(one->fd, (struct sockaddr *)&server, sizeof(server)))
		err(1, "connect");
	setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (epoll_ctl(poller, EPOLL_CTL_ADD, one->fd, &event))
		err(1, "epoll_ctl");
}

static void send_request(struct connection *one)
{
	char request[512];
	long user = sent % 5000;
	int length = snprintf(request, sizeof(request),
			      "GET /api/v1/users/%ld/orders?page=%ld HTTP/1.1\r\n"
			      "Host: shop.example\r\nUser-Agent: connections/1.0\r\n"
			      "Accept: application/json\r\n\r\n",
			      user, user % 7);

	if (send(one->fd, request, length, MSG_NOSIGNAL) != length)
		err(1, "send");
	one->busy = 1;
	one->requests++;
	sent++;
}

// Says whether the response is whole.
static int is_whole(const struct connection *one)
{
	const char *body = strstr(one->response, "\r\n\r\n");
	const char *length = strstr(one->response, "Content-Length: ");

	if (!body)
		return 0;
	if (!length || strncmp(one->response, "HTTP/1.1 200", 12))
		errx(1, "unexpected response: %.200s", one->response);
	return one->filled == (size_t)(body + 4 - one->response) + strtoul(length + 16, NULL, 10);
}

static void receive(struct connection *one)
{
	size_t room = RESPONSE - 1 - one->filled;
	ssize_t got = recv(one->fd, one->response + one->filled, room, 0);

	if (got <= 0)
		errx(1, "the server closed a connection");
	one->filled += got;
	one->response[one->filled] = 0;
	if (!is_whole(one))
		return;
	one->filled = 0;
	one->busy = 0;
	answered++;
	if (each && one->requests >= each) {
		close(one->fd);
		open_connection(one);
		one->requests = 0;
		reopened++;
	}
}

static void wait_for_responses(int milliseconds)
{
	struct epoll_event events[EVENTS];
	int ready = epoll_wait(poller, events, EVENTS, milliseconds);

	if (ready < 0 && errno != EINTR)
		err(1, "epoll_wait");
	for (int i = 0; i < ready; i++)
		receive(events[i].data.ptr);
}

// Sends what is due, over connections that are idle; what finds none idle is not made up for.
static void keep_rate(double rate, double seconds)
{
	double started = now(), elapsed;
	long due = 0, next = 0;

	while ((elapsed = now() - started) < seconds) {
		for (; due < (long)(elapsed * rate); due++, next = (next + 1) % count)
			if (!connections[next].busy)
				send_request(&connections[next]);
		wait_for_responses(1);
	}
	for (started = now(); answered < sent && now() - started < DRAIN_SECONDS;)
		wait_for_responses(10);
}

static void open_all(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < count; i++) {
		// Spread over time, so that not all are reopened at once.
		connections[i].requests = each ? i % each : 0;
		open_connection(&connections[i]);
	}
	puts("open");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	double started, seconds;

	if (argc != 6)
		errx(2, "usage: connections PORT CONNECTIONS RATE SECONDS REQUESTS_EACH");
	server.sin_family = AF_INET;
	server.sin_port = htons(atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	count = atoi(argv[2]);
	each = atol(argv[5]);
	connections = calloc(count, sizeof(*connections));
	poller = epoll_create1(0);
	if (count < 1 || !connections || poller < 0)
		err(1, "set-up");
	open_all();
	started = now();
	keep_rate(atof(argv[3]), atof(argv[4]));
	seconds = now() - started;
	printf("{\"requests\": %ld, \"answered\": %ld, \"reopened\": %ld, \"seconds\": %.3f}\n", sent,
	       answered, reopened, seconds);
	return 0;
}
