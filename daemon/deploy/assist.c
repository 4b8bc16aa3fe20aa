/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the socket first; only when nobody is there the same program is run as a child. Which of both it was decides about remedies, and
 * nothing else. What the helper answers is text of a program that was started for us, and is still read as strictly as anybody's. */
#include "daemon/deploy/assist.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/io/child.h"
#include "daemon/io/unixask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef LIBEXECDIR
#define LIBEXECDIR "/usr/libexec/dvcertd"
#endif

#define HELPER	  "dvcertd-helper"
#define ENABLE	  "systemctl enable --now dvcertd-helper.socket"
#define CHILD_ENV "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define BUS_ENV	  "DBUS_SYSTEM_BUS_ADDRESS"
#define SAID_MAX  160

struct assist_call {
	struct loop *loop;
	assist_done_fn *done;
	void *owner;
	struct unixask *ask;
	struct child *child;
	char *socket;
	char *config_file;
	char *state_dir;
	char *line;
	int64_t deadline_ms;
};

static void call_free(struct assist_call *c)
{
	free(c->socket);
	free(c->config_file);
	free(c->state_dir);
	free(c->line);
	free(c);
}

static void finish(struct assist_call *c, const struct outcome *o)
{
	c->done(o, c->owner);
	call_free(c);
}

/* --- the answer --------------------------------------------------------------------------------------- */

struct answer {
	bool ok;
	char *code;
	char *message;
};

static void answer_done(struct answer *a)
{
	free(a->code);
	free(a->message);
}

static const struct json_field FIELDS[] = {
	{ "ok", JSON_WANT_BOOL, offsetof(struct answer, ok), JSON_REQUIRED },
	{ "code", JSON_WANT_STR, offsetof(struct answer, code), 0 },
	{ "message", JSON_WANT_STR, offsetof(struct answer, message), 0 },
};

/* FAULT_NONE for a code that does not exist. */
static enum fault fault_of(const char *code)
{
	static const struct {
		const char *code;
		enum fault fault;
	} codes[] = {
		{ "files", FAULT_LOCAL },
		{ "refused", FAULT_LOCAL },
		{ "reload", FAULT_UNCLEAR },
		{ "test", FAULT_UNCLEAR },
	};

	for (size_t i = 0; code && i < ARRAY_SIZE(codes); i++)
		if (strcmp(codes[i].code, code) == 0)
			return codes[i].fault;
	return FAULT_NONE;
}

/* False when it is no answer. */
static bool read_answer(const char *line, struct outcome *ret)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(answer_done) struct answer a = { 0 };
	enum fault fault;

	if (json_parse(line, strlen(line), UNIXASK_MAX, &j, NULL) < 0 || json_type(j) != JSON_OBJECT ||
	    json_pick(j, "", FIELDS, ARRAY_SIZE(FIELDS), JSON_PICK_STRICT, &a, NULL) < 0)
		return false;
	fault = fault_of(a.code);
	if (a.ok ? a.code || a.message : fault == FAULT_NONE || !a.message)
		return false;
	if (!a.ok)
		(void)outcome_set(ret, fault, a.code, "%s", a.message);
	return true;
}

static void say_garbage(struct outcome *o, const char *text)
{
	char said[SAID_MAX + 1];

	(void)outcome_set(o, FAULT_UNCLEAR, "helper", HELPER " answered something that is no answer%s%s",
			  text[0] ? ": " : "", str_escape(text, strlen(text), said, sizeof(said)));
}

/* --- as a child --------------------------------------------------------------------------------------- */

char *assist_program(void)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash = NULL;

	if (n > 0 && (size_t)n < sizeof(exe) - 1) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
	}
	if (slash) {
		_cleanup_free_ char *beside = xasprintf("%.*s/" HELPER, (int)(slash - exe), exe);

		if (access(beside, X_OK) == 0)
			return TAKE_PTR(beside);
	}
	return xstrdup(LIBEXECDIR "/" HELPER);
}

static void on_child(const struct child_result *r, void *owner)
{
	struct assist_call *c = owner;
	struct outcome o = OUTCOME_OK;

	c->child = NULL;
	if (r->start_error != 0)
		(void)outcome_set(&o, FAULT_UNCLEAR, "helper",
				  "nobody listens on %.108s, and " HELPER
				  " cannot be run by this user (%s): " ENABLE,
				  c->socket, strerror(-r->start_error));
	else if (r->timed_out)
		(void)outcome_set(&o, FAULT_UNCLEAR, "helper", HELPER " did not end in time");
	else if (r->exit_code != 0 || r->signal != 0)
		(void)outcome_set(&o, FAULT_UNCLEAR, "helper", HELPER " ended with %s %d%s%.160s",
				  r->signal ? "signal" : "exit code", r->signal ? r->signal : r->exit_code,
				  r->output[0] ? ": " : "", r->output);
	else if (!read_answer(r->output, &o))
		say_garbage(&o, r->output);
	finish(c, &o);
}

static void start_child(struct assist_call *c)
{
	_cleanup_free_ char *program = assist_program();
	_cleanup_free_ char *input = xasprintf("%s\n", c->line);
	_cleanup_free_ char *bus = NULL;
	const char *bus_address = getenv(BUS_ENV);
	const char *argv[] = { program, "-c", c->config_file, "--state-dir", c->state_dir, NULL };
	const char *env[] = { CHILD_ENV, NULL, NULL };
	struct child_spec spec = {
		.argv = argv,
		.env = env,
		.label = HELPER,
		.timeout_ms = MAX(c->deadline_ms - clock_mono_ms(), 1),
		.input = input,
	};

	/* What the daemon was told of the bus, its child is told. */
	if (bus_address)
		env[1] = bus = xasprintf(BUS_ENV "=%s", bus_address);
	child_start(c->loop, &spec, on_child, c, &c->child);
}

/* --- by the socket ------------------------------------------------------------------------------------ */

static void explain(const struct assist_call *c, int error, struct outcome *o)
{
	switch (-error) {
	case ETIMEDOUT:
		(void)outcome_set(o, FAULT_UNCLEAR, "helper",
				  HELPER " did not answer in time; look at: journalctl -t dvcertd-helper");
		break;
	case EPERM:
		(void)outcome_set(
			o, FAULT_UNCLEAR, "helper",
			"the one who listens on %.108s is not root, and was not asked: who made that socket?",
			c->socket);
		break;
	case EACCES:
		(void)outcome_set(
			o, FAULT_UNCLEAR, "helper",
			"this user may not connect to %.108s: its SocketUser= has to be the daemon's user",
			c->socket);
		break;
	case ECONNRESET:
		(void)outcome_set(o, FAULT_UNCLEAR, "helper",
				  HELPER " ended without an answer; look at: journalctl -t dvcertd-helper");
		break;
	default:
		(void)outcome_set(o, FAULT_UNCLEAR, "helper", "cannot ask " HELPER " on %.108s: %s",
				  c->socket, strerror(-error));
	}
}

static void on_answer(const struct unixask_result *r, void *owner)
{
	struct assist_call *c = owner;
	struct outcome o = OUTCOME_OK;

	c->ask = NULL;
	if (r->error == -ENOENT || r->error == -ECONNREFUSED || r->error == -ENOTDIR) {
		start_child(c);
		return;
	}
	if (r->error == -EFBIG || r->error == -EBADMSG)
		say_garbage(&o, "");
	else if (r->error < 0)
		explain(c, r->error, &o);
	else if (!read_answer(r->line, &o))
		say_garbage(&o, r->line);
	finish(c, &o);
}

/* --- start and cancel --------------------------------------------------------------------------------- */

static char *make_line(const struct assist_ask *ask)
{
	bool files = str_has_prefix(ask->target, "files");
	_cleanup_(json_freep) struct json *j = json_new_obj();
	struct strbuf sb = STRBUF_INIT(UNIXASK_MAX - 1);

	json_set_str(j, "do", files ? "files" : "reload");
	json_set_str(j, "name", ask->name);
	json_set_str(j, "target", ask->target);
	if (files)
		json_set_i64(j, "generation", ask->generation);
	json_write(j, 0, &sb);
	return strbuf_take(&sb);
}

/* The child has "/" as its working folder. The caller frees. */
static char *absolute(const char *path)
{
	char cwd[4096];

	return path[0] == '/' || !getcwd(cwd, sizeof(cwd)) ? xstrdup(path) : xasprintf("%s/%s", cwd, path);
}

void assist_start(struct loop *l, const struct assist_ask *ask, assist_done_fn *done, void *owner,
		  struct assist_call **ret)
{
	struct assist_call *c = xmalloc(sizeof(*c));

	c->loop = l;
	c->done = done;
	c->owner = owner;
	c->socket = xstrdup(ask->socket);
	c->config_file = absolute(ask->config_file);
	c->state_dir = absolute(ask->state_dir);
	c->line = make_line(ask);
	c->deadline_ms = clock_mono_ms() + ask->timeout_ms;
	unixask_start(l, c->socket, c->line, ask->timeout_ms, on_answer, c, &c->ask);
	if (ret)
		*ret = c;
}

void assist_cancel(struct assist_call **c)
{
	struct assist_call *mine = *c;

	if (!mine)
		return;
	*c = NULL;
	unixask_cancel(&mine->ask);
	child_cancel(&mine->child);
	call_free(mine);
}
