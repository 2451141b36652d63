// SPDX-License-Identifier: Apache-2.0
/* Which context of CPython's was made by which: where copies of the current one are made, and where contexts
 * end. */
#include "../core/serving_uvloop.h"

char LICENSE[] SEC("license")
= "Dual BSD/GPL";

/* The returns of PyContext_CopyCurrent. */
SEC("?uprobe")
int python_made(struct pt_regs *ctx)
{
	struct runtime_control *runtime = hit_runtime(ctx);

	if (runtime && runtime->kind == RUNTIME_PYTHON && RESULT(ctx))
		context_made(runtime, RESULT(ctx));
	return 0;
}

/* What PyContext_Type has for tp_dealloc. Whatever has the address next, by whatever way it is made, is another
 * context. */
SEC("?uprobe")
int python_gone(struct pt_regs *ctx)
{
	if (hit_runtime(ctx))
		context_gone(ARGUMENT1(ctx));
	return 0;
}

/* uvloop's run_in_context1, by which protocols are called: with what was read. Its first argument is the context. */
SEC("?uprobe")
int uvloop_calls(struct pt_regs *ctx)
{
	if (hit_uvloop())
		read_begins(ARGUMENT1(ctx));
	return 0;
}

/* Its returns. */
SEC("?uprobe")
int uvloop_called(struct pt_regs *ctx)
{
	if (hit_uvloop())
		read_ends();
	return 0;
}

/* uvloop's UVStream._buffer_write. */
SEC("?uprobe")
int uvloop_writes(struct pt_regs *ctx)
{
	struct runtime_control *runtime = hit_uvloop();

	if (runtime)
		stream_written(runtime, ARGUMENT1(ctx));
	return 0;
}
