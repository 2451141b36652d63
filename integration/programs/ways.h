/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in which bytes go into and out of a socket, by name. */
#ifndef WAYS_H
#define WAYS_H

#include <stddef.h>
#include <sys/types.h>

/* Moves up to `length` bytes; returns how many, 0 at end of file, -1 with errno. */
typedef ssize_t (*way_move)(int socket, char *bytes, size_t length);

struct way {
	const char *name;
	way_move move;
};

extern const struct way ways_in[];
extern const struct way ways_out[];

ssize_t uring_send(int socket, char *bytes, size_t length);
ssize_t uring_send_by_worker(int socket, char *bytes, size_t length);
ssize_t uring_receive(int socket, char *bytes, size_t length);

#endif
