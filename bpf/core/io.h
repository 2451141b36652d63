/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes of one call stand, and reading them from there. */
#ifndef OTEL_EBPF_IO_H
#define OTEL_EBPF_IO_H

#include "account.h"

enum io_kind {
	IO_UNREADABLE = 0,
	IO_FLAT = 1, /* base is a user buffer */
	IO_VECTOR = 2, /* base is a user array of iovecs */
	IO_KERNEL_VECTOR = 3, /* base is a kernel array of iovecs that point to user buffers */
	IO_KERNEL_BUFFERS = 4, /* base is a kernel array of iovecs that point to kernel buffers */
};

struct io {
	__u64 base;
	__u32 segments; /* of a vector */
	__u32 skip; /* bytes of the first segment that do not belong to the call */
	__u32 kind; /* enum io_kind */
	__u32 unseen; /* the ledger entry that says why the bytes cannot be read */
};

/* More iovecs than this in one call are captured as far as they go. Node's header, chunk size,
 * chunk and end are 4; the last one is looked at wherever it stands. */
#define SEGMENTS_MAX 8

static __always_inline long read_bytes(void *to, __u64 size, __u64 from, bool kernel)
{
	return kernel ? bpf_probe_read_kernel(to, size, (void *)from) :
			bpf_probe_read_user(to, size, (void *)from);
}

static __always_inline bool read_segment(struct user_iovec *segment, const struct io *io, __u32 i)
{
	__u64 at = io->base + (__u64)i * sizeof(*segment);

	if (read_bytes(segment, sizeof(*segment), at, io->kind != IO_VECTOR))
		return false;
	if (!i) {
		segment->base += io->skip;
		segment->length -= io->skip;
	}
	return true;
}

/*
 * Copies the first bytes of a call, at most `room` and at most `length`, to `buffer` + `at`.
 * For the verifier: `bound` + `limit` bytes stand at `buffer`; nothing is written behind `bound`,
 * nor more than `limit` at once. Returns how many were copied; fewer where a page is not present.
 */
static __always_inline __u64 copy_bytes(__u8 *buffer, __u64 at, const __u64 bound, const __u64 limit,
					__u64 room, const struct io *io, __u64 length)
{
	__u64 done = 0;

	if (io->kind == IO_UNREADABLE)
		return 0;
	if (room > length)
		room = length;
	for (__u32 i = 0; i < SEGMENTS_MAX; i++) {
		struct user_iovec segment = { .base = io->base, .length = length };
		__u64 size, to = at + done;

		if (done >= room)
			break;
		if (io->kind == IO_FLAT ? i : i >= io->segments || !read_segment(&segment, io, i))
			break;
		size = room - done;
		if (size > segment.length)
			size = segment.length;
		OPAQUE(size);
		OPAQUE(to);
		if (to > bound)
			break;
		if (size > limit)
			size = limit;
		if (read_bytes(buffer + to, size, segment.base, io->kind == IO_KERNEL_BUFFERS)) {
			account(LEDGER_EVENT_FAULT);
			break;
		}
		done += size;
	}
	return done;
}

/*
 * The buffer in which the call's last byte stands, cut to the bytes that passed. With more than
 * SEGMENTS_MAX iovecs the last one is taken to be full, as it is in a send that was not cut short.
 */
static __always_inline bool last_buffer(struct user_iovec *last, const struct io *io, __u32 length)
{
	__u64 left = length;

	if (io->kind == IO_UNREADABLE)
		return false;
	if (io->kind == IO_FLAT) {
		last->base = io->base;
		last->length = length;
		return true;
	}
	for (__u32 i = 0; i < SEGMENTS_MAX; i++) {
		if (i >= io->segments || !read_segment(last, io, i))
			return false;
		if (left <= last->length) {
			last->length = left;
			return true;
		}
		left -= last->length;
	}
	return read_segment(last, io, io->segments - 1);
}

/* Moves the start of the call's bytes forward by `size` (<= what the first SEGMENTS_MAX hold). */
static __always_inline void advance(struct io *io, __u32 size)
{
	if (io->kind == IO_FLAT) {
		io->base += size;
		return;
	}
	for (__u32 i = 0; i < SEGMENTS_MAX; i++) {
		struct user_iovec segment;

		if (!size || !io->segments || !read_segment(&segment, io, 0))
			return;
		if (size < segment.length) {
			io->skip += size;
			return;
		}
		size -= segment.length;
		io->base += sizeof(segment);
		io->skip = 0;
		io->segments--;
	}
}

#endif
