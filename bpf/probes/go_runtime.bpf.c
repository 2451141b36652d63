// SPDX-License-Identifier: Apache-2.0
/*
 * Which goroutine works for which: where they are made, and where net/http's client hands a request to
 * the goroutine that writes for its connection.
 *
 * Go's register ABI: a method's receiver first. Only at entries and at return instructions.
 */
#include "../core/serving.h"
#include "../core/task_go.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

static __always_inline struct task goroutine(__u64 g)
{
	return (struct task){ .process = bpf_get_current_pid_tgid() >> 32, .kind = TASK_RUNTIME, .id = g };
}

static __always_inline struct task client(struct pt_regs *ctx)
{
	return (struct task){ .process = bpf_get_current_pid_tgid() >> 32,
			      .kind = TASK_GO_CLIENT,
			      .id = GO_WORD1(ctx) };
}

/* The returns of runtime.newproc1, on the machine's own stack: the new goroutine. */
SEC("?uprobe")
int go_made(struct pt_regs *ctx)
{
	const struct runtime_control *go = hit_runtime(ctx);
	struct task made = goroutine(GO_WORD1(ctx)), maker = goroutine(0);

	if (!go)
		return 0;
	maker.id = running_goroutine(go, GO_GOROUTINE(ctx));
	hand_over(&made, &maker);
	return 0;
}

/* net/http.(*persistConn).roundTrip, by who asks. */
SEC("?uprobe")
int go_asks(struct pt_regs *ctx)
{
	struct task asking = goroutine(GO_GOROUTINE(ctx)), connection = client(ctx);

	if (hit_runtime(ctx))
		hand_over(&connection, &asking);
	return 0;
}

/* net/http.persistConnWriter.Write, by the goroutine that writes whatever is asked over the connection. */
SEC("?uprobe")
int go_writes(struct pt_regs *ctx)
{
	struct task writing = goroutine(GO_GOROUTINE(ctx)), connection = client(ctx);

	if (hit_runtime(ctx))
		hand_over(&writing, &connection);
	return 0;
}
