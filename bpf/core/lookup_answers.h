/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses in the memory of the current process, as the C library has them for who looks up names. */
#ifndef OTEL_EBPF_LOOKUP_ANSWERS_H
#define OTEL_EBPF_LOOKUP_ANSWERS_H

#include "user_memory.h"
#include "../include/wire.h"

/* <netdb.h> of glibc and musl for 64 bits. */
struct user_addrinfo {
	__s32 flags, family, type, protocol;
	__u32 address_length, pad;
	__u64 address;
	__u64 canonical_name;
	__u64 next;
};

struct user_hostent {
	__u64 name;
	__u64 aliases;
	__s32 family, length;
	__u64 addresses; /* array of pointers, the last of which is NULL */
};

/* <netinet/in.h>: bytes of a socket address before the IP address. */
#define BEFORE_IPV4 4
#define BEFORE_IPV6 8

/* Adds the bytes of an address, if there is room. False where they cannot be read, or are of another family. */
static __always_inline bool take_bare_address(struct lookup_record *record, __u64 at, __u16 family)
{
	__u32 number = record->addresses;
	long failed;

	if (number >= LOOKUP_ADDRESSES)
		return true;
	number &= LOOKUP_ADDRESSES - 1;
	if (family == AF_INET)
		failed = bpf_probe_read_user(record->address[number], 4, (void *)at);
	else if (family == AF_INET6)
		failed = bpf_probe_read_user(record->address[number], 16, (void *)at);
	else
		return false;
	if (failed)
		return false;
	record->families[number] = family;
	record->addresses = number + 1;
	return true;
}

/* The same of the socket address that stands at `at`. */
static __always_inline bool take_address(struct lookup_record *record, __u64 at)
{
	__u16 family = 0;

	bpf_probe_read_user(&family, sizeof(family), (void *)at);
	return take_bare_address(record, at + (family == AF_INET ? BEFORE_IPV4 : BEFORE_IPV6), family);
}

#define NODES 24 /* three for each address, where the caller does not say for which kind of socket */

/* getaddrinfo's answers. */
static __always_inline void take_address_list(struct lookup_record *record, __u64 at)
{
	struct user_addrinfo node;
	__s32 type = 0;

	for (int i = 0; i < NODES && at; i++) {
		if (bpf_probe_read_user(&node, sizeof(node), (void *)at))
			return;
		if (!i)
			type = node.type;
		if (node.type == type)
			take_address(record, node.address);
		at = node.next;
	}
}

/* gethostbyname's. */
static __always_inline void take_host(struct lookup_record *record, __u64 at)
{
	struct user_hostent host;

	if (bpf_probe_read_user(&host, sizeof(host), (void *)at))
		return;
	for (int i = 0; i < LOOKUP_ADDRESSES; i++) {
		__u64 address = user_word(host.addresses + i * sizeof(__u64));

		if (!address || !take_bare_address(record, address, host.family))
			return;
	}
}

#endif
