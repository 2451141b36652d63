// SPDX-License-Identifier: Apache-2.0
/*
 * Where TLS libraries take and hand over plaintext. Which functions of which library these are is
 * user space's to say (otel_ebpf/kernel/libraries.py): nearly all are (session, buffer, length).
 */
#define PREEMPTIBLE
#include "../core/tls_go.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

#define MSG_PEEK 2 /* PR_MSG_PEEK is the same */

/* Behind `pass`: attached to nothing. */
SEC("?uprobe")
int tls_plaintext(struct pt_regs *ctx)
{
	__u32 slot;

	if (find_slot(&slot)) {
		on_plaintext(slot);
		give_slot(slot);
	}
	return 0;
}

static __always_inline __u8 reads_or_peeks(__u32 flags)
{
	return flags & MSG_PEEK ? TLS_BINDS : TLS_READS;
}

SEC("?uprobe")
int tls_read(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), ARGUMENT2(ctx), 0, TLS_READS);
	return 0;
}

SEC("?uprobe")
int tls_write(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), ARGUMENT2(ctx), 0, TLS_WRITES);
	return 0;
}

/* The fourth argument is recv's flags. */
SEC("?uprobe")
int tls_recv(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), ARGUMENT2(ctx), 0, reads_or_peeks(ARGUMENT4(ctx)));
	return 0;
}

/* NSPR's, of which any descriptor may be the first argument. */
SEC("?uprobe")
int tls_layer_read(struct pt_regs *ctx)
{
	enter_layer(ARGUMENT1(ctx), ARGUMENT2(ctx), TLS_READS);
	return 0;
}

SEC("?uprobe")
int tls_layer_recv(struct pt_regs *ctx)
{
	enter_layer(ARGUMENT1(ctx), ARGUMENT2(ctx), reads_or_peeks(ARGUMENT4(ctx)));
	return 0;
}

SEC("?uprobe")
int tls_layer_write(struct pt_regs *ctx)
{
	enter_layer(ARGUMENT1(ctx), ARGUMENT2(ctx), TLS_WRITES);
	return 0;
}

/* The fourth argument says where the number goes. */
SEC("?uprobe")
int tls_read_ex(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), ARGUMENT2(ctx), ARGUMENT4(ctx), TLS_READS);
	return 0;
}

SEC("?uprobe")
int tls_write_ex(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), ARGUMENT2(ctx), ARGUMENT4(ctx), TLS_WRITES);
	return 0;
}

/* From a file, into kernel TLS: there is no buffer. */
SEC("?uprobe")
int tls_sendfile(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), 0, 0, TLS_WRITES);
	return 0;
}

/* A look that takes nothing: what it has received is read later, without a socket call. */
SEC("?uprobe")
int tls_peek(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), 0, 0, TLS_BINDS);
	return 0;
}

SEC("?uprobe")
int tls_protocol(struct pt_regs *ctx)
{
	enter(ARGUMENT1(ctx), ARGUMENT2(ctx), ARGUMENT3(ctx), TLS_ASKS);
	return 0;
}

SEC("?uretprobe")
int tls_protocol_return(struct pt_regs *ctx)
{
	leave_question();
	return 0;
}

SEC("?uretprobe")
int tls_return(struct pt_regs *ctx)
{
	leave(ctx);
	return 0;
}

SEC("?uprobe")
int tls_set_fd(struct pt_regs *ctx)
{
	expect_socket(ARGUMENT1(ctx), ARGUMENT2(ctx));
	return 0;
}

SEC("?uprobe")
int tls_free(struct pt_regs *ctx)
{
	forget_session(ARGUMENT1(ctx));
	return 0;
}

/* Go's register ABI (1.17): a method's receiver, then the three words of a slice; results likewise. The
 * goroutine and not the thread is who calls. */
SEC("?uprobe")
int go_tls_read(struct pt_regs *ctx)
{
	enter_go(GO_GOROUTINE(ctx), GO_WORD1(ctx), GO_WORD2(ctx));
	return 0;
}

/* Behind the check of the stack's size, from which the function may start anew. */
SEC("?uprobe")
int go_tls_write(struct pt_regs *ctx)
{
	write_go(ctx);
	return 0;
}

/* At each of its return instructions: a return probe would be taken for a broken stack when it grows. */
SEC("?uprobe")
int go_tls_return(struct pt_regs *ctx)
{
	leave_go(ctx);
	return 0;
}
