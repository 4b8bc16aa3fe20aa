/* SPDX-License-Identifier: Apache-2.0 */
/* DNS records by a program: what it is called with, and what its end means. lego's contract, because the programs that
 * exist for it (and contrib/dns) get the whole name and so can write _dnsauth; running it is child.c's part.
 *
 * Nothing that a program answers is final: a wrong token or a provider that is down look the same from here, and
 * cost nothing but time. */
#include "daemon/dcv/exec.h"

#include "common/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_TEMPFAIL 75  /* sysexits.h */
#define SAID_MAX      180 /* bytes of the output in a message, which names the record too; its end says most */
#define WORD_MAX      40

/* Fixed: what the daemon was started with must not decide which programs a hook finds. */
#define HOOK_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct exec_call {
	struct child *child;
	exec_done_fn *done;
	void *owner;
	char *program;
	const char *verb;
	int64_t timeout_s;
};

static void call_free(struct exec_call *c)
{
	free(c->program);
	free(c);
}

/* What to do about a program that does not start. */
static const char *remedy(int start_error)
{
	switch (-start_error) {
	case EPERM:
		return "it must belong to root or to the daemon's user, and only its owner may write to it";
	case EACCES: return "it must be a file that the daemon's user may execute";
	case ENOENT: return "neither it nor the interpreter in its first line may be missing";
	case EINVAL: return "it must be named by its whole path";
	case ENOEXEC: return "it is neither a binary of this machine nor a script that begins with #!";
	default: return "look at the limits of the daemon's service";
	}
}

/* The end of what the program said, from a word on when one begins soon, else not from the middle of a character. */
static const char *last_words(const char *output)
{
	size_t len = strlen(output);
	const char *p = output;
	const char *blank = NULL;

	if (len <= SAID_MAX)
		return output;
	p += len - SAID_MAX;
	blank = memchr(p, ' ', WORD_MAX);
	if (blank)
		return blank + 1;
	while (((unsigned char)*p & 0xc0) == 0x80)
		p++;
	return p;
}

static void on_child(const struct child_result *r, void *owner)
{
	struct exec_call *c = owner;
	struct outcome o = OUTCOME_OK;
	const char *said = last_words(r->output);
	const char *colon = said[0] != '\0' ? ": " : "";

	if (r->start_error != 0)
		(void)outcome_set(&o, FAULT_LOCAL, "exec", "cannot run %.120s: %s; %s", c->program,
				  strerror(-r->start_error), remedy(r->start_error));
	else if (r->timed_out)
		(void)outcome_set(&o, FAULT_UNCLEAR, "exec", "%.120s %s did not end within %lld s%s%s",
				  c->program, c->verb, (long long)c->timeout_s, colon, said);
	else if (r->signal != 0)
		(void)outcome_set(&o, FAULT_UNCLEAR, "exec", "%.120s %s was ended by signal %d%s%s",
				  c->program, c->verb, r->signal, colon, said);
	else if (r->exit_code == EXIT_TEMPFAIL)
		(void)outcome_set(&o, FAULT_UNCLEAR, "exec", "%.120s %s asks to be called again later%s%s",
				  c->program, c->verb, colon, said);
	else if (r->exit_code != 0)
		(void)outcome_set(&o, FAULT_UNCLEAR, "exec", "%.120s %s failed with exit code %d%s%s",
				  c->program, c->verb, r->exit_code, colon, said);
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
	const char *env[] = { HOOK_PATH, "DVCERT_API=1", name, NULL, NULL };
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	struct child_spec spec = { .env = env, .label = "dns.exec", .timeout_ms = s->timeout_s * 1000 };
	size_t n = 0;

	if (folder)
		env[3] = credentials = xasprintf("CREDENTIALS_DIRECTORY=%s", folder);
	while (s->command[n])
		n++;
	argv = xcalloc(n + 4, sizeof *argv);
	memcpy(argv, s->command, n * sizeof *argv);
	argv[n] = c->verb = s->present ? "present" : "cleanup";
	argv[n + 1] = fqdn;
	argv[n + 2] = s->value;
	spec.argv = argv;
	c->done = done;
	c->owner = owner;
	c->program = xstrdup(argv[0]);
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
