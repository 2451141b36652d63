// SPDX-License-Identifier: Apache-2.0
/*
 * Where programs have the C library look up names. Which functions these are is user space's to say
 * (otel_ebpf/kernel/resolvers.py): gethostbyname and gethostbyaddr themselves call those that end in _r.
 */
#include "../core/lookup.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* <netdb.h>, of both glibc and musl. */
#define AI_NUMERICHOST 4
#define NI_NUMERICHOST 1

/* name, service, hints, result */
SEC("?uprobe")
int resolver_getaddrinfo(struct pt_regs *ctx)
{
	struct lookup lookup = { .asked = ARGUMENT1(ctx),
				 .answer = ARGUMENT4(ctx),
				 .call = LOOKUP_GETADDRINFO };

	lookup.numeric = user_word(ARGUMENT3(ctx)) & AI_NUMERICHOST ? 1 : 0;
	begin_lookup(ctx, &lookup);
	return 0;
}

/* libuv's uv_getaddrinfo: loop, request. Its threads call the C library's. */
SEC("?uprobe")
int resolver_handed(struct pt_regs *ctx)
{
	hand_lookup(ARGUMENT2(ctx));
	return 0;
}

/* address, its length, host, its size, service, its size, flags */
SEC("?uprobe")
int resolver_getnameinfo(struct pt_regs *ctx)
{
	struct lookup lookup = { .asked = ARGUMENT1(ctx), .call = LOOKUP_GETNAMEINFO };

	lookup.numeric = !ARGUMENT3(ctx) || !(__u32)ARGUMENT4(ctx) || ARGUMENT7(ctx) & NI_NUMERICHOST;
	begin_lookup(ctx, &lookup);
	return 0;
}

/* name, host, buffer, its size, result, h_errno */
SEC("?uprobe")
int resolver_gethostbyname(struct pt_regs *ctx)
{
	struct lookup lookup = { .asked = ARGUMENT1(ctx),
				 .answer = ARGUMENT5(ctx),
				 .error = ARGUMENT6(ctx),
				 .call = LOOKUP_GETHOSTBYNAME };

	begin_lookup(ctx, &lookup);
	return 0;
}

/* name, family, host, buffer, its size, result, h_errno */
SEC("?uprobe")
int resolver_gethostbyname2(struct pt_regs *ctx)
{
	struct lookup lookup = { .asked = ARGUMENT1(ctx),
				 .answer = ARGUMENT6(ctx),
				 .error = ARGUMENT7(ctx),
				 .call = LOOKUP_GETHOSTBYNAME };

	begin_lookup(ctx, &lookup);
	return 0;
}

/* address, its length, family, host, buffer, its size, result, h_errno */
SEC("?uprobe")
int resolver_gethostbyaddr(struct pt_regs *ctx)
{
	struct lookup lookup = { .asked = ARGUMENT1(ctx),
				 .family = ARGUMENT3(ctx),
				 .answer = ARGUMENT7(ctx),
				 .error = ARGUMENT8(ctx),
				 .call = LOOKUP_GETHOSTBYADDR };

	begin_lookup(ctx, &lookup);
	return 0;
}

SEC("?uretprobe")
int resolver_return(struct pt_regs *ctx)
{
	end_lookup(ctx);
	return 0;
}
