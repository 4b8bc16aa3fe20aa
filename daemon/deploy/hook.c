/* SPDX-License-Identifier: Apache-2.0 */
/* Programs after a renewal: their environment, which is the whole contract. Running them is io/child.c's part, and what their end means
 * io/program.c's. */
#include "daemon/deploy/hook.h"

#include "common/mem.h"
#include "common/timefmt.h"
#include "daemon/io/program.h"

#define ENV_MAX 16

struct hook_call {
	struct child *child;
	hook_done_fn *done;
	void *owner;
	char *program;
	int64_t timeout_s;
};

static void call_free(struct hook_call *c)
{
	free(c->program);
	free(c);
}

static void on_child(const struct child_result *r, void *owner)
{
	struct hook_call *c = owner;
	struct outcome o = OUTCOME_OK;

	program_outcome(r, c->program, "", c->timeout_s, &o);
	c->done(&o, c->owner);
	call_free(c);
}

/* NULL-terminated; each entry belongs to the caller. */
static void make_environment(const struct hook_ask *ask, char *ret[ENV_MAX])
{
	char until[TIMEFMT_MAX];
	size_t n = 0;

	ret[n++] = xstrdup(PROGRAM_PATH);
	ret[n++] = xstrdup("DVCERT_API=1");
	ret[n++] = xasprintf("DVCERT_NAME=%s", ask->name);
	ret[n++] = xasprintf("DVCERT_NAMES=%s", ask->names);
	ret[n++] = xasprintf("DVCERT_DIR=%s", ask->dir);
	ret[n++] = xasprintf("DVCERT_CERT=%s/cert.pem", ask->dir);
	ret[n++] = xasprintf("DVCERT_CHAIN=%s/chain.pem", ask->dir);
	ret[n++] = xasprintf("DVCERT_FULLCHAIN=%s/fullchain.pem", ask->dir);
	ret[n++] = xasprintf("DVCERT_KEY=%s/privkey.pem", ask->dir);
	ret[n++] = xasprintf("DVCERT_SERIAL=%s", ask->serial);
	ret[n++] = xasprintf("DVCERT_NOT_AFTER=%s", timefmt_rfc3339(ask->not_after, until));
	ret[n++] = xasprintf("RENEWED_LINEAGE=%s", ask->dir);
	ret[n++] = xasprintf("RENEWED_DOMAINS=%s", ask->names);
	ret[n] = NULL;
}

void hook_start(struct loop *l, const struct hook_ask *ask, hook_done_fn *done, void *owner,
		struct hook_call **ret)
{
	struct hook_call *c = xmalloc(sizeof *c);
	char *env[ENV_MAX] = { NULL };
	const struct child_spec spec = {
		.argv = ask->target->command,
		.env = (const char *const *)env,
		.label = "deploy.exec",
		.timeout_ms = ask->target->timeout * 1000,
	};

	make_environment(ask, env);
	c->done = done;
	c->owner = owner;
	c->program = xstrdup(ask->target->command[0]);
	c->timeout_s = ask->target->timeout;
	child_start(l, &spec, on_child, c, &c->child);
	for (size_t i = 0; env[i]; i++)
		free(env[i]);
	if (ret)
		*ret = c;
}

void hook_cancel(struct hook_call **c)
{
	struct hook_call *mine = *c;

	*c = NULL;
	if (!mine)
		return;
	child_cancel(&mine->child);
	call_free(mine);
}
