/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the system calls that move bytes through sockets, or accept them (64-bit callers). */
#ifndef OTEL_EBPF_SYSCALLS_H
#define OTEL_EBPF_SYSCALLS_H

#if defined(__TARGET_ARCH_x86) /* arch/x86/entry/syscalls/syscall_64.tbl */
#define NR_READ 0
#define NR_WRITE 1
#define NR_READV 19
#define NR_WRITEV 20
#define NR_SENDFILE 40
#define NR_ACCEPT 43
#define NR_SENDTO 44
#define NR_RECVFROM 45
#define NR_SENDMSG 46
#define NR_RECVMSG 47
#define NR_SPLICE 275
#define NR_ACCEPT4 288
#define NR_RECVMMSG 299
#define NR_SENDMMSG 307
#define NR_PREADV2 327
#define NR_PWRITEV2 328
#else /* include/uapi/asm-generic/unistd.h */
#define NR_READ 63
#define NR_WRITE 64
#define NR_READV 65
#define NR_WRITEV 66
#define NR_SENDFILE 71
#define NR_SPLICE 76
#define NR_ACCEPT 202
#define NR_SENDTO 206
#define NR_RECVFROM 207
#define NR_SENDMSG 211
#define NR_RECVMSG 212
#define NR_ACCEPT4 242
#define NR_RECVMMSG 243
#define NR_SENDMMSG 269
#define NR_PREADV2 286
#define NR_PWRITEV2 287
#endif
#define NR_IO_URING_ENTER 426

/* The same of 32-bit callers on x86 (arch/x86/entry/syscalls/syscall_32.tbl). */
#define NR_I386_SOCKETCALL 102

static __always_inline bool moves_bytes_i386(int number)
{
	switch (number) {
	case 3: /* read */
	case 4: /* write */
	case NR_I386_SOCKETCALL:
	case 145: /* readv */
	case 146: /* writev */
	case 187: /* sendfile */
	case 239: /* sendfile64 */
	case 313: /* splice */
	case 337: /* recvmmsg */
	case 345: /* sendmmsg */
	case 369 ... 372: /* sendto, sendmsg, recvfrom, recvmsg */
	case 378: /* preadv2 */
	case 379: /* pwritev2 */
	case NR_IO_URING_ENTER:
		return true;
	}
	return false;
}

#endif
