/* SPDX-License-Identifier: Apache-2.0 */
/* One operation at a time through io_uring, by its bare system calls: there is no 32-bit liburing. */
#include "ways.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
	int descriptor;
	unsigned *submit_tail, *submit_mask, *submit_array;
	unsigned *complete_head, *complete_tail, *complete_mask;
	struct io_uring_sqe *submissions;
	struct io_uring_cqe *completions;
};

static void *map(int descriptor, size_t length, off_t offset)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, offset);
}

static int set_up(struct ring *ring)
{
	struct io_uring_params with = {0};
	size_t submit_length, complete_length;
	char *submit, *complete;

	ring->descriptor = syscall(__NR_io_uring_setup, 4, &with);
	if (ring->descriptor < 0)
		return -1;
	submit_length = with.sq_off.array + with.sq_entries * sizeof(unsigned);
	complete_length = with.cq_off.cqes + with.cq_entries * sizeof(struct io_uring_cqe);
	submit = map(ring->descriptor, submit_length, IORING_OFF_SQ_RING);
	complete = map(ring->descriptor, complete_length, IORING_OFF_CQ_RING);
	ring->submissions =
		map(ring->descriptor, with.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	if (submit == MAP_FAILED || complete == MAP_FAILED || ring->submissions == MAP_FAILED)
		return -1;
	ring->submit_tail = (unsigned *)(submit + with.sq_off.tail);
	ring->submit_mask = (unsigned *)(submit + with.sq_off.ring_mask);
	ring->submit_array = (unsigned *)(submit + with.sq_off.array);
	ring->complete_head = (unsigned *)(complete + with.cq_off.head);
	ring->complete_tail = (unsigned *)(complete + with.cq_off.tail);
	ring->complete_mask = (unsigned *)(complete + with.cq_off.ring_mask);
	ring->completions = (struct io_uring_cqe *)(complete + with.cq_off.cqes);
	return 0;
}

static ssize_t complete_one(struct ring *ring)
{
	unsigned head = *ring->complete_head;
	int result;

	while (head == __atomic_load_n(ring->complete_tail, __ATOMIC_ACQUIRE))
		if (syscall(__NR_io_uring_enter, ring->descriptor, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 &&
		    errno != EINTR)
			return -1;
	result = ring->completions[head & *ring->complete_mask].res;
	__atomic_store_n(ring->complete_head, head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static ssize_t run(int operation, int flags, int socket, char *bytes, size_t length)
{
	static struct ring ring = {.descriptor = -1};
	struct io_uring_sqe *submission;
	unsigned tail, slot;

	if (ring.descriptor < 0 && set_up(&ring))
		return -1;
	tail = *ring.submit_tail;
	slot = tail & *ring.submit_mask;
	submission = &ring.submissions[slot];
	memset(submission, 0, sizeof(*submission));
	submission->opcode = operation;
	submission->flags = flags;
	submission->fd = socket;
	submission->addr = (uintptr_t)bytes;
	submission->len = length;
	ring.submit_array[slot] = slot;
	__atomic_store_n(ring.submit_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring.descriptor, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	return complete_one(&ring);
}

ssize_t uring_send(int socket, char *bytes, size_t length)
{
	return run(IORING_OP_SEND, 0, socket, bytes, length);
}

/* By a worker of the kernel, not by the thread that asks. */
ssize_t uring_send_by_worker(int socket, char *bytes, size_t length)
{
	return run(IORING_OP_SEND, IOSQE_ASYNC, socket, bytes, length);
}

ssize_t uring_receive(int socket, char *bytes, size_t length)
{
	return run(IORING_OP_RECV, 0, socket, bytes, length);
}
