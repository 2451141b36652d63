// Times 1-byte reads of a file and of a pipe: the calls that no tracer of sockets should slow down.
// Prints nanoseconds a read, for each the best of many loops, as JSON.
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define READS 20000 // fits a pipe of the default 64 KiB
#define LOOPS 60

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static double read_all(int fd)
{
	double started = now();
	char byte;

	for (int i = 0; i < READS; i++)
		if (read(fd, &byte, 1) != 1)
			err(1, "read");
	return (now() - started) / READS;
}

int main(void)
{
	static char bytes[READS];
	char path[] = "/tmp/one-byte-XXXXXX";
	double of_file = 1e9, of_pipe = 1e9, took;
	int file = mkstemp(path), ends[2];

	if (file < 0 || unlink(path) || pipe(ends) || write(file, bytes, READS) != READS)
		err(1, "set-up");
	for (int i = 0; i < LOOPS; i++) {
		if (lseek(file, 0, SEEK_SET) || write(ends[1], bytes, READS) != READS)
			err(1, "refill");
		took = read_all(file);
		of_file = took < of_file ? took : of_file;
		took = read_all(ends[0]);
		of_pipe = took < of_pipe ? took : of_pipe;
	}
	printf("{\"file\": %.2f, \"pipe\": %.2f}\n", of_file, of_pipe);
	return 0;
}
