/* SPDX-License-Identifier: Apache-2.0 */
/* DNS records by a program: what it is called with. lego's contract, because the programs that exist for it (and contrib/dns)
 * get the whole name and so can write _dnsauth; running it is io/child.c's part, and what its end means io/program.c's. */
#include "daemon/dcv/exec.h"

#include "common/mem.h"
#include "daemon/io/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exec_call {
	struct child *child;
	exec_done_fn *done;
	void *owner;
	char *program;
	const char *what;
	int64_t timeout_s;
};

static void call_free(struct exec_call *c)
{
	free(c->program);
	free(c);
}

static void on_child(const struct child_result *r, void *owner)
{
	struct exec_call *c = owner;
	struct outcome o = OUTCOME_OK;

	program_outcome(r, c->program, c->what, c->timeout_s, &o);
	if (o.fault != FAULT_NONE)
		(void)snprintf(o.code, sizeof o.code, "exec"); /* where the record could not be written */
	c->done(&o, c->owner);
	call_free(c);
}

void exec_start(struct loop *l, const struct exec_spec *s, exec_done_fn *done, void *owner,
		struct exec_call **ret)
{
	struct exec_call *c = xmalloc(sizeof *c);
	_cleanup_free_ char *fqdn = xasprintf("%s.", s->fqdn);
	_cleanup_free_ char *name = xasprintf("DVCERT_NAME=%s", s->domain);
	_cleanup_free_ const char **argv = NULL;
	_cleanup_free_ char *credentials = NULL;
	const char *env[] = { PROGRAM_PATH, "DVCERT_API=1", name, NULL, NULL };
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	struct child_spec spec = { .env = env, .label = "dns.exec", .timeout_ms = s->timeout_s * 1000 };
	size_t n = 0;

	if (folder)
		env[3] = credentials = xasprintf("CREDENTIALS_DIRECTORY=%s", folder);
	while (s->command[n])
		n++;
	argv = xcalloc(n + 4, sizeof *argv);
	memcpy(argv, s->command, n * sizeof *argv);
	argv[n] = s->present ? "present" : "cleanup";
	argv[n + 1] = fqdn;
	argv[n + 2] = s->value;
	spec.argv = argv;
	c->done = done;
	c->owner = owner;
	c->program = xstrdup(argv[0]);
	c->what = s->present ? " present" : " cleanup";
	c->timeout_s = s->timeout_s;
	child_start(l, &spec, on_child, c, &c->child);
	if (ret)
		*ret = c;
}

void exec_cancel(struct exec_call **c)
{
	struct exec_call *mine = *c;

	if (!mine)
		return;
	*c = NULL;
	child_cancel(&mine->child);
	call_free(mine);
}
