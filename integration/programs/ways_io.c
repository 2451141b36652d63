/* SPDX-License-Identifier: Apache-2.0 */
#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Two halves, so that more than one vector and more than one message are used. */
static void halve(struct iovec *halves, char *bytes, size_t length)
{
	size_t first = length > 1 ? length / 2 : length;

	halves[0] = (struct iovec){bytes, first};
	halves[1] = (struct iovec){bytes + first, length - first};
}

static int a_pipe(int *ends)
{
	static int made[2] = {-1, -1};

	if (made[0] < 0 && pipe(made))
		return -1;
	ends[0] = made[0];
	ends[1] = made[1];
	return 0;
}

static ssize_t out_write(int socket, char *bytes, size_t length)
{
	return write(socket, bytes, length);
}

static ssize_t out_writev(int socket, char *bytes, size_t length)
{
	struct iovec halves[2];

	halve(halves, bytes, length);
	return writev(socket, halves, 2);
}

static ssize_t out_sendto(int socket, char *bytes, size_t length)
{
	return sendto(socket, bytes, length, MSG_NOSIGNAL, NULL, 0);
}

static ssize_t out_sendmsg(int socket, char *bytes, size_t length)
{
	struct iovec halves[2];
	struct msghdr message = {.msg_iov = halves, .msg_iovlen = 2};

	halve(halves, bytes, length);
	return sendmsg(socket, &message, MSG_NOSIGNAL);
}

static ssize_t out_sendmmsg(int socket, char *bytes, size_t length)
{
	struct iovec halves[2];
	struct mmsghdr messages[2] = {0};
	int sent;

	halve(halves, bytes, length);
	for (int i = 0; i < 2; i++) {
		messages[i].msg_hdr.msg_iov = &halves[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	sent = sendmmsg(socket, messages, 2, MSG_NOSIGNAL);
	if (sent < 0)
		return -1;
	return messages[0].msg_len + (sent > 1 ? messages[1].msg_len : 0);
}

static ssize_t from_file(int socket, const char *bytes, size_t length)
{
	int file = memfd_create("ways", 0);
	off_t from = 0;
	ssize_t sent;

	if (file < 0 || write(file, bytes, length) != (ssize_t)length)
		return -1;
	sent = sendfile(socket, file, &from, length);
	close(file);
	return sent;
}

static ssize_t out_sendfile(int socket, char *bytes, size_t length)
{
	return from_file(socket, bytes, length);
}

/* As servers do: the head from memory, the body from a file. */
static ssize_t out_head_then_sendfile(int socket, char *bytes, size_t length)
{
	char *end = memmem(bytes, length, "\r\n\r\n", 4);
	size_t head = end ? (size_t)(end + 4 - bytes) : length;
	ssize_t sent = send(socket, bytes, head, head < length ? MSG_MORE : 0);

	if (sent != (ssize_t)head || head == length)
		return sent;
	sent = from_file(socket, bytes + head, length - head);
	return sent < 0 ? sent : sent + (ssize_t)head;
}

static ssize_t out_splice(int socket, char *bytes, size_t length)
{
	int ends[2];

	if (a_pipe(ends) || write(ends[1], bytes, length) != (ssize_t)length)
		return -1;
	return splice(ends[0], NULL, socket, NULL, length, 0);
}

static ssize_t out_byte(int socket, char *bytes, size_t length)
{
	return send(socket, bytes, length ? 1 : 0, MSG_NOSIGNAL);
}

static ssize_t out_zerocopy(int socket, char *bytes, size_t length)
{
	int on = 1;

	setsockopt(socket, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
	return send(socket, bytes, length, MSG_ZEROCOPY | MSG_NOSIGNAL);
}

static ssize_t in_read(int socket, char *bytes, size_t length)
{
	return read(socket, bytes, length);
}

static ssize_t in_readv(int socket, char *bytes, size_t length)
{
	struct iovec halves[2];

	/* A short first vector: the head does not fit into it. */
	halve(halves, bytes, length);
	if (length > 16) {
		halves[0].iov_len = 16;
		halves[1] = (struct iovec){bytes + 16, length - 16};
	}
	return readv(socket, halves, 2);
}

static ssize_t in_recvfrom(int socket, char *bytes, size_t length)
{
	return recvfrom(socket, bytes, length, 0, NULL, NULL);
}

static ssize_t in_recvmsg(int socket, char *bytes, size_t length)
{
	struct iovec halves[2];
	struct msghdr message = {.msg_iov = halves, .msg_iovlen = 2};

	halve(halves, bytes, length);
	return recvmsg(socket, &message, 0);
}

static ssize_t in_recvmmsg(int socket, char *bytes, size_t length)
{
	struct iovec halves[2];
	struct mmsghdr messages[2] = {0};
	int received;

	/* The second message stays behind the first without a hole only if that is filled. */
	halve(halves, bytes, length > 32 ? 32 : length);
	for (int i = 0; i < 2; i++) {
		messages[i].msg_hdr.msg_iov = &halves[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	received = recvmmsg(socket, messages, halves[1].iov_len ? 2 : 1, MSG_WAITFORONE, NULL);
	if (received < 0)
		return -1;
	return messages[0].msg_len + (received > 1 ? messages[1].msg_len : 0);
}

static ssize_t in_splice(int socket, char *bytes, size_t length)
{
	ssize_t moved;
	int ends[2];

	if (a_pipe(ends))
		return -1;
	moved = splice(socket, NULL, ends[1], NULL, length, 0);
	return moved <= 0 ? moved : read(ends[0], bytes, moved);
}

static ssize_t in_peek(int socket, char *bytes, size_t length)
{
	ssize_t peeked = recv(socket, bytes, length, MSG_PEEK);

	return peeked <= 0 ? peeked : recv(socket, bytes, peeked, 0);
}

static ssize_t in_byte(int socket, char *bytes, size_t length)
{
	return recv(socket, bytes, length ? 1 : 0, 0);
}

static ssize_t in_nonblocking(int socket, char *bytes, size_t length)
{
	struct pollfd ready = {.fd = socket, .events = POLLIN};
	ssize_t received;

	while ((received = recv(socket, bytes, length, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		if (poll(&ready, 1, -1) < 0)
			return -1;
	return received;
}

const struct way ways_in[] = {
	{"read", in_read},	     {"readv", in_readv},	{"recvfrom", in_recvfrom},
	{"recvmsg", in_recvmsg},     {"recvmmsg", in_recvmmsg}, {"splice", in_splice},
	{"io_uring", uring_receive}, {"peek", in_peek},		{"byte", in_byte},
	{"nonblocking", in_nonblocking}, {NULL, NULL},
};

const struct way ways_out[] = {
	{"write", out_write},	    {"writev", out_writev},
	{"sendto", out_sendto},	    {"sendmsg", out_sendmsg},
	{"sendmmsg", out_sendmmsg}, {"sendfile", out_sendfile},
	{"head_then_sendfile", out_head_then_sendfile},
	{"splice", out_splice},	    {"io_uring", uring_send},
	{"io_uring_worker", uring_send_by_worker},
	{"byte", out_byte},	    {"zerocopy", out_zerocopy},
	{NULL, NULL},
};
