/* SPDX-License-Identifier: Apache-2.0 */
/* dvcertd-helper and the programs of `exec`, as the daemon meets them: a line on a socket (io/unixask.h) and the end of a child (io/child.h).
 * Copies are written by the helper's own code; systemd is what is simulated. What was begun is the world's: it takes effect, or not, or too
 * late, whatever becomes of the daemon meanwhile. */
#include "tests/sim/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/helper/verbs.h"
#include "daemon/io/unixask.h"
#include "tests/sim/disk.h"
#include "tests/sim/plan.h"
#include "tests/sim/scenario_priv.h"
#include "tests/sim/targets.h"
#include "tests/sim/world.h"

#define LATE_MAX_S 480 /* a job of systemd may wait for so long when nobody waits for it any more */
#define LAG_MAX_MS 20000

/* What becomes of something that was asked for. */
enum fate {
	FATE_FINE,
	FATE_REFUSED,	  /* nothing was done, and it says so */
	FATE_DEAD_BEFORE, /* it died, and nothing was done */
	FATE_HALF,	  /* it died half way */
	FATE_DEAD_AFTER,
	FATE_GARBAGE, /* done, and nobody can tell from the answer */
	FATE_LATE,    /* done after the daemon has given up */
	FATE_LATER,   /* a hook's exit 75 */
	FATE_NR
};

static const char *const fate_names[] = { "fine",	"refused", "dead before", "half",
					  "dead after", "garbage", "late",	  "later" };

/* Something that was asked for. Referred to by the event that lets it happen and by whoever waits for its end. */
struct errand {
	unsigned refs;
	bool stopped; /* its child was killed */
	unsigned cut; /* the power cut after which it is not there any more */
	enum fate fate;
	struct site *site;
	char *target;
	bool is_hook;
	bool may_fail;
	unsigned generation; /* FILES */
	/* What it came to. */
	int64_t at_ms;
	unsigned done_generation; /* 0: not done */
	enum answer answer;
	char message[128];
};

static void errand_unref(struct errand *e)
{
	if (--e->refs > 0)
		return;
	free(e->target);
	free(e);
}

static void fail(struct errand *e, enum answer a, const char *text)
{
	e->answer = a;
	snprintf(e->message, sizeof(e->message), "%.120s", text);
}

/* --- what is done ------------------------------------------------------------------------------------- */

static int64_t draw_lag(void)
{
	return plan_strikes(TROUBLE_SERVERS, STREAM_TARGETS) ? world_range(STREAM_TARGETS, 0, LAG_MAX_MS)
							     : world_range(STREAM_TARGETS, 0, 1500);
}

static void do_files(struct errand *e)
{
	const struct site *s = e->site;
	struct cfg_files_target t = { .mode = 0600 };
	struct err err = ERR_INIT;
	struct helper h = { .state_owner = geteuid(), .peer = geteuid() };
	unsigned written = 0;

	t.paths[s->bundle ? CFG_COPY_BUNDLE : CFG_COPY_FULLCHAIN] = s->copies[0];
	if (!s->bundle && e->fate != FATE_HALF)
		t.paths[CFG_COPY_KEY] = s->copies[1];
	h.state_fd = open(scenario_state_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	e->answer = files_do(&h, &t, s->actor->name, e->generation, &written, &err);
	close(h.state_fd);
	if (e->answer == ANSWER_OK)
		e->done_generation = e->generation;
	else
		fail(e, e->answer, err.text);
}

/* All of its addresses, or none: a server reads its files before it lets go of what it has. */
static void do_load(struct errand *e, struct server *v)
{
	int64_t lag[NODES_MAX];
	bool whole = true;

	for (unsigned i = 0; i < NODES_MAX; i++)
		lag[i] = draw_lag();
	if (v->refuses_until_ms > world_now_ms()) {
		fail(e, ANSWER_TEST, "simulated: its configuration is broken");
		return;
	}
	for (unsigned i = 0; i < v->n_nodes; i++)
		if (v->nodes[i].is_up)
			whole = targets_load(e->site, v, &v->nodes[i], lag[i]) && whole;
	if (!whole) {
		fail(e, ANSWER_RELOAD, "simulated: its files are no pair");
		return;
	}
	v->is_foreign = false;
	e->done_generation = targets_live(e->site);
}

static void take_effect(struct errand *e)
{
	struct slot *t = targets_slot(e->site, e->target);

	e->at_ms = world_now_ms();
	if (!e->site->actor->present || !t) {
		fail(e, ANSWER_REFUSED, "simulated: not in the configuration");
		return;
	}
	judge_may_load(e->site, t);
	t->effect_ms = e->at_ms;
	if (targets.last_day_ms)
		t->n_late++;
	if (t->kind == SLOT_FILES)
		do_files(e);
	else if (t->kind == SLOT_LOADER)
		do_load(e, &e->site->servers[t->server]);
	else
		e->done_generation = targets_live(e->site);
	world_trace("%s %.6s %u: generation %u%s%s", e->site->actor->name, e->target, t->server,
		    e->done_generation, e->fate == FATE_FINE ? "" : ", ",
		    e->fate == FATE_FINE ? "" : fate_names[e->fate]);
}

static void happen(void *arg)
{
	struct errand *e = arg;
	bool nothing = e->fate == FATE_REFUSED || e->fate == FATE_DEAD_BEFORE || e->fate == FATE_LATER;

	if (e->cut == targets.cut && !e->stopped && !nothing)
		take_effect(e);
	else if (nothing)
		fail(e, e->is_hook ? ANSWER_RELOAD : ANSWER_REFUSED, "simulated");
	errand_unref(e);
}

static struct errand *begin(struct site *s, const char *target, int64_t after_ms, enum fate fate)
{
	struct errand *e = xmalloc(sizeof(*e));

	*e = (struct errand){ .refs = 2,
			      .cut = targets.cut,
			      .fate = fate,
			      .site = s,
			      .target = xstrdup(target),
			      .answer = ANSWER_OK };
	(void)world_after(OWNER_WORLD, after_ms, happen, e);
	return e;
}

/* The daemon hears of it. */
static void told(const struct errand *e)
{
	struct slot *t = targets_slot(e->site, e->target);

	if (!t || e->answer != ANSWER_OK || e->done_generation == 0)
		return;
	t->ok_generation = e->done_generation;
	t->ok_ms = e->at_ms;
}

static enum fate draw_fate(void)
{
	bool strikes = plan_strikes(TROUBLE_SERVERS, STREAM_TARGETS);
	int64_t which = world_range(STREAM_TARGETS, FATE_FINE + 1, FATE_NR - 1);

	return strikes ? (enum fate)which : FATE_FINE;
}

/* A good moment for a crash. */
static void may_crash(void)
{
	bool kill = plan_strikes(TROUBLE_KILL, STREAM_TARGETS),
	     cut = plan_strikes(TROUBLE_POWER, STREAM_TARGETS);
	int64_t points = world_range(STREAM_TARGETS, 1, 20);

	if (world_range(STREAM_TARGETS, 0, 9) == 0 && (kill || cut))
		disk_arm((unsigned)points, cut ? LIFE_POWER_CUT : LIFE_KILLED);
}

/* --- the socket ------------------------------------------------------------------------------------------ */

struct unixask {
	struct event *event;
	struct errand *errand; /* NULL: nobody is there */
	int error;
	unixask_done_fn *done;
	void *owner;
};

static void answer(const struct errand *e, char ret[UNIXASK_MAX])
{
	static const char *const CODES[] = { [ANSWER_FILES] = "files",
					     [ANSWER_RELOAD] = "reload",
					     [ANSWER_TEST] = "test",
					     [ANSWER_REFUSED] = "refused" };
	_cleanup_(json_freep) struct json *j = json_new_obj();
	struct strbuf sb = STRBUF_INIT(UNIXASK_MAX - 1);

	json_set_bool(j, "ok", e->answer == ANSWER_OK);
	if (e->fate == FATE_GARBAGE)
		json_set_str(j, "really", "yes");
	if (e->answer != ANSWER_OK) {
		json_set_str(j, "code", CODES[e->answer]);
		json_set_str(j, "message", e->message);
	}
	json_write(j, 0, &sb);
	snprintf(ret, UNIXASK_MAX, "%s", strbuf_str(&sb));
	strbuf_done(&sb);
}

static void ask_over(void *arg)
{
	struct unixask *a = arg;
	char line[UNIXASK_MAX] = "";
	struct unixask_result r = { .error = a->error };

	a->event = NULL;
	may_crash();
	if (a->error == 0) {
		answer(a->errand, line);
		r.line = line;
		if (a->errand->fate == FATE_FINE)
			told(a->errand);
	}
	a->done(&r, a->owner);
	if (a->errand)
		errand_unref(a->errand);
	free(a);
}

static int error_of(enum fate f)
{
	switch (f) {
	case FATE_DEAD_BEFORE:
	case FATE_HALF:
	case FATE_DEAD_AFTER: return -ECONNRESET;
	case FATE_LATE: return -ETIMEDOUT;
	case FATE_LATER: return -EACCES;
	case FATE_FINE:
	case FATE_REFUSED:
	case FATE_GARBAGE:
	case FATE_NR: break;
	}
	return 0;
}

struct asked {
	char *verb, *name, *target;
	int64_t generation; /* 0: reload */
};

static void asked_done(struct asked *a)
{
	free(a->verb);
	free(a->name);
	free(a->target);
}

/* daemon/helper/request.c does it in the helper; tests/sandbox has functions of the same names. */
static void read_asked(const char *line, struct asked *ret)
{
	static const struct json_field FIELDS[] = {
		{ "do", JSON_WANT_STR, offsetof(struct asked, verb), JSON_REQUIRED },
		{ "name", JSON_WANT_STR, offsetof(struct asked, name), JSON_REQUIRED },
		{ "target", JSON_WANT_STR, offsetof(struct asked, target), JSON_REQUIRED },
		{ "generation", JSON_WANT_I64, offsetof(struct asked, generation), 0 },
	};
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(line, strcspn(line, "\n"), UNIXASK_MAX, &j, &err) < 0 ||
	    json_pick(j, "", FIELDS, ARRAY_SIZE(FIELDS), JSON_PICK_STRICT, ret, &err) < 0 ||
	    (ret->generation != 0) != (strcmp(ret->verb, "files") == 0))
		world_violation("the helper does not understand: %s", err.text);
}

/* The helper's alarm ends it before the daemon gives up; only a job of systemd may wait for longer. */
static int64_t effect_after(const struct asked *rq, enum fate f, int64_t timeout_ms)
{
	int64_t ms = world_range(STREAM_TARGETS, 5, 400);

	if (f != FATE_LATE)
		return ms;
	return rq->generation != 0 ? timeout_ms - 5000
				   : timeout_ms + world_range(STREAM_TARGETS, 1, LATE_MAX_S) * 1000;
}

/* The helper reads a line, from its socket or from its standard input. */
static struct errand *ask_helper(const char *line, int64_t timeout_ms, enum fate fate, int64_t *ret_ms)
{
	_cleanup_(asked_done) struct asked rq = { 0 };
	struct errand *e;
	struct site *s;

	read_asked(line, &rq);
	s = targets_site(rq.name);
	if (!s || s->n_slots == 0)
		world_violation("the helper is asked for %s", rq.name);
	*ret_ms = effect_after(&rq, fate, timeout_ms);
	e = begin(s, rq.target, *ret_ms, fate);
	e->generation = (unsigned)rq.generation;
	if (targets_slot(s, rq.target))
		judge_may_load(s, targets_slot(s, rq.target));
	*ret_ms = fate == FATE_LATE ? timeout_ms : *ret_ms + world_range(STREAM_TARGETS, 1, 50);
	return e;
}

void unixask_start(_unused_ struct loop *l, _unused_ const char *path, const char *line, int64_t timeout_ms,
		   unixask_done_fn *done, void *owner, struct unixask **ret)
{
	static const int AWAY[] = { -ENOENT, -ECONNREFUSED, -EACCES, -ENOENT };
	struct unixask *a = xmalloc(sizeof(*a));
	enum fate fate = draw_fate();
	bool away = targets.helper_away_until_ms > world_now_ms();
	int64_t ms = 0, which = world_range(STREAM_TARGETS, 0, (int64_t)ARRAY_SIZE(AWAY) - 1);

	disk_point();
	may_crash();
	*a = (struct unixask){ .done = done, .owner = owner, .error = away ? AWAY[which] : error_of(fate) };
	if (!away)
		a->errand = ask_helper(line, timeout_ms, fate, &ms);
	a->event = world_after(OWNER_DAEMON, ms, ask_over, a);
	if (ret)
		*ret = a;
}

/* What the helper has begun it ends. */
void unixask_cancel(struct unixask **a)
{
	struct unixask *mine = TAKE_PTR(*a);

	if (!mine || !mine->event)
		return;
	world_drop(&mine->event);
	if (mine->errand)
		errand_unref(mine->errand);
	free(mine);
}

/* --- children -------------------------------------------------------------------------------------------- */

/* One word of a program's environment; "" when it is not there. */
static const char *env_of(const struct child_spec *spec, const char *name)
{
	for (size_t i = 0; spec->env[i]; i++)
		if (str_has_prefix(spec->env[i], name))
			return spec->env[i] + strlen(name);
	return "";
}

static void end_of_hook(struct child_result *r, enum fate f)
{
	switch (f) {
	case FATE_FINE:
	case FATE_GARBAGE: break;
	case FATE_REFUSED:
	case FATE_DEAD_AFTER: r->exit_code = 1; break;
	case FATE_DEAD_BEFORE:
	case FATE_HALF: r->signal = 9; break;
	case FATE_LATE:
		r->timed_out = true;
		r->exit_code = -1;
		break;
	case FATE_LATER: r->exit_code = 75; break;
	case FATE_NR: break;
	}
}

/* Hung, it may have loaded the server before; and it is killed then, with whatever it has not done. */
static struct errand *start_hook(const struct child_spec *spec, struct child_result *r, int64_t *ret_ms)
{
	_cleanup_free_ char *target = xasprintf("exec:%s", spec->argv[0]);
	const char *name = env_of(spec, "DVCERT_NAME=");
	struct site *s = targets_site(name);
	bool broken = targets.hooks_broken_until_ms > world_now_ms();
	enum fate fate = draw_fate();
	int64_t ms = world_range(STREAM_TARGETS, 20, 4000);
	struct errand *e;

	if (!s || !targets_slot(s, target))
		world_violation("a hook for %s, which is in no configuration: %s", name, target);
	judge_may_load(s, targets_slot(s, target));
	if (broken)
		fate = FATE_REFUSED;
	e = begin(s, target, ms, fate);
	e->is_hook = true;
	end_of_hook(r, fate);
	*ret_ms = fate == FATE_LATE ? spec->timeout_ms : ms + 10;
	return e;
}

struct errand *helper_child(const struct child_spec *spec, struct child_result *r, int64_t *ret_ms)
{
	enum fate fate;
	bool broken;

	may_crash();
	if (strcmp(spec->label, "deploy.exec") == 0)
		return start_hook(spec, r, ret_ms);
	/* The helper as a child: where the daemon may not run it, or it ends as badly as on its socket. */
	fate = draw_fate();
	broken = world_range(STREAM_TARGETS, 0, 1) == 0;
	if (broken && targets.helper_away_until_ms > world_now_ms()) {
		r->start_error = -EACCES;
		*ret_ms = 1;
		return NULL;
	}
	if (error_of(fate) != 0)
		r->signal = 14;
	r->timed_out = fate == FATE_LATE;
	return ask_helper(spec->input, spec->timeout_ms, fate, ret_ms);
}

void helper_child_over(struct errand *e, struct child_result *r, char *output, size_t size)
{
	char line[UNIXASK_MAX];

	may_crash();
	if (!e)
		return;
	if (e->is_hook && r->exit_code == 0 && e->answer != ANSWER_OK)
		r->exit_code = 1;
	if (!e->is_hook) {
		answer(e, line);
		snprintf(output, size, "%s", line);
		r->output = output;
	}
	if (!r->timed_out && r->signal == 0 && r->exit_code == 0 && (e->is_hook || e->fate == FATE_FINE))
		told(e);
	errand_unref(e);
}

void helper_child_killed(struct errand *e)
{
	if (!e)
		return;
	e->stopped = e->is_hook;
	errand_unref(e);
}
