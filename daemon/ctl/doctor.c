/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at what only this side can see: a daemon that is not there cannot tell why. */
#include "daemon/ctl/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/strbuf.h"
#include "common/timefmt.h"
#include "config/load.h"

#define UNIT	   "dvcertd.service"
#define SAID_MAX   4096
#define ASK_MS	   3000
#define TEXT_MAX   2000
#define LOOK_START "systemctl start dvcertd, and look at: journalctl -u dvcertd -e"

static struct json *step_json(const char *step, const char *state, const char *text, const char *remedy)
{
	struct json *o = json_new_obj();
	json_set_str(o, "step", step);
	json_set_str(o, "state", state);
	json_set_str(o, "text", text);
	json_set_str(o, "remedy", remedy);
	return o;
}

/* ---- the configuration on disk ---- */

static int64_t newer(const char *path, int64_t than)
{
	struct stat st;
	return stat(path, &st) == 0 && st.st_mtime > than ? st.st_mtime : than;
}

/* When one of the files of a configuration changed last. The folder's own time is not looked at: an editor that only shows a file
 * changes it. */
static int64_t changed_at(const char *file)
{
	const char *slash = strrchr(file, '/');
	_cleanup_free_ char *dir = xasprintf("%.*sconf.d", slash ? (int)(slash - file + 1) : 0, file);
	DIR *d = opendir(dir);
	int64_t at = newer(file, 0);
	for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, e->d_name);
		if (str_has_suffix(e->d_name, ".yaml"))
			at = newer(path, at);
	}
	if (d)
		(void)closedir(d);
	return at;
}

static int64_t loaded_at(const struct json *answer)
{
	const char *text = NULL;
	int64_t at = 0;
	if (json_get_str(answer, "config_loaded_at", &text) == 1 && timefmt_parse_rfc3339(text, &at) < 0)
		at = 0;
	return at;
}

static struct json *wrong_config(const char *file, const struct config_report *report)
{
	_cleanup_free_ char *check =
		xasprintf("dvcertd -c %s --check shows all; then dvcertctl reload", file);
	_cleanup_free_ char *text =
		xasprintf("%s%s", report->problems[0].text, report->n_problems > 1 ? " (and more)" : "");
	return step_json("config", "broken", text, check);
}

/* Well-formed; is it the one that is in use? */
static struct json *good_config(const char *file, const struct config *c, const struct doctor_front *f)
{
	int64_t disk = changed_at(file), memory = loaded_at(f->answer), n = 0;
	_cleanup_free_ char *text = NULL;
	char at[TIMEFMT_MAX], since[TIMEFMT_MAX];
	if (memory && disk > memory) {
		text = xasprintf(
			"%s changed at %s, after it was loaded (%s): what is in force is not what it says",
			file, timefmt_rfc3339(disk, at), timefmt_rfc3339(memory, since));
		return step_json("config", "broken", text, "dvcertctl reload");
	}
	/* A file that came or went with an old time. */
	if (json_get_i64(f->answer, "config_domains", &n) == 1 && n != (int64_t)c->n_domains) {
		text = xasprintf("%s has %zu domains, in use are %lld", file, c->n_domains, (long long)n);
		return step_json("config", "broken", text, "dvcertctl reload");
	}
	text = xasprintf("%s is valid%s", file, memory ? ", and is the one in use" : "");
	return step_json("config", "ok", text, NULL);
}

static struct json *look_at_config(const struct doctor_front *f)
{
	struct config_report report = { 0 };
	struct config *c = NULL;
	struct json *step;
	const char *file = f->config_file;
	_cleanup_free_ char *text = NULL;
	if (!file && json_get_str(f->answer, "config_file", &file) != 1)
		file = CONFIG_DEFAULT_FILE;
	if (access(file, R_OK) < 0 && errno != ENOENT) {
		text = xasprintf("%s: %s: run dvcertctl as root to have it looked at", file, strerror(errno));
		return step_json("config", "skipped", text, NULL);
	}
	if (config_load_without_secrets(file, &c, &report) < 0)
		step = wrong_config(file, &report);
	else
		step = good_config(file, c, f);
	config_report_done(&report);
	config_unref(c);
	return step;
}

/* ---- the daemon ---- */

extern char **environ;

/* What it prints, up to SAID_MAX; false when it cannot be run, or says nothing in time. */
static bool said_by(char *const argv[], struct strbuf *sb)
{
	posix_spawn_file_actions_t actions;
	int64_t deadline = clock_mono_ms() + ASK_MS;
	int ends[2], status = 0;
	pid_t pid = 0;
	bool ok;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	(void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	ok = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) == 0;
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(ends[1]);
	while (ok) {
		struct pollfd p = { .fd = ends[0], .events = POLLIN };
		char buf[1024];
		int r = poll(&p, 1, (int)MAX(deadline - clock_mono_ms(), (int64_t)0));
		ssize_t n = r > 0 ? read(ends[0], buf, sizeof(buf)) : -1;
		if (n <= 0) {
			ok = n == 0;
			break;
		}
		strbuf_add(sb, buf, (size_t)n);
	}
	(void)close(ends[0]);
	if (pid > 0) {
		if (!ok)
			(void)kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	return ok && strbuf_ok(sb) && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The value behind "KEY=" at the beginning of a line; the caller frees. */
static char *value_of(const char *text, const char *key)
{
	size_t len = strlen(key);
	for (const char *line = text; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, key, len) == 0 && line[len] == '=')
			return xstrndup(line + len + 1, strcspn(line + len + 1, "\n"));
	}
	return xstrdup("");
}

/* What systemd knows of its end; "" when it knows nothing. The caller frees. */
static char *how_it_ended(void)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(SAID_MAX);
	char *const argv[] = {
		(char *)(uintptr_t) "systemctl", (char *)(uintptr_t) "show", (char *)(uintptr_t)UNIT,
		(char *)(uintptr_t) "--property=LoadState,ActiveState,Result,ExecMainCode,ExecMainStatus",
		NULL
	};
	if (!said_by(argv, &sb))
		return xstrdup("");
	_cleanup_free_ char *load = value_of(strbuf_str(&sb), "LoadState"),
			    *active = value_of(strbuf_str(&sb), "ActiveState"),
			    *result = value_of(strbuf_str(&sb), "Result"),
			    *code = value_of(strbuf_str(&sb), "ExecMainCode"),
			    *status = value_of(strbuf_str(&sb), "ExecMainStatus");
	if (strcmp(load, "loaded") != 0)
		return *load ? xasprintf("; systemd has no %s (%s)", UNIT, load) : xstrdup("");
	/* CLD_EXITED is 1, killed 2, dumped 3. */
	if (strcmp(active, "failed") == 0)
		return xasprintf("; %s has failed: %s, %s %s%s", UNIT, result,
				 strcmp(code, "1") == 0 ? "exit status" : "signal", status,
				 strcmp(status, "78") == 0 ? " (bad configuration)" : "");
	return xasprintf("; %s is %s", UNIT, active);
}

static struct json *look_at_daemon(const struct doctor_front *f)
{
	_cleanup_free_ char *text = NULL, *ended = NULL;
	const struct json *daemon = json_get(json_get(f->answer, "status"), "daemon");
	const char *since = NULL, *version = NULL;
	int64_t pid = 0;
	if (!f->answer && f->denied)
		return step_json("daemon", "broken", f->absence, "run dvcertctl as root");
	if (!f->answer) {
		ended = how_it_ended();
		text = xasprintf("%s%s", f->absence, ended);
		return step_json("daemon", "broken", text, LOOK_START);
	}
	if (json_get_str(daemon, "started_at", &since) != 1 ||
	    json_get_str(daemon, "version", &version) != 1 || json_get_i64(daemon, "pid", &pid) != 1)
		return step_json("daemon", "ok", "it answers", NULL);
	text = xasprintf("version %s, pid %lld, since %s", version, (long long)pid, since);
	if (strcmp(version, DVCERT_VERSION) != 0)
		return step_json(
			"daemon", "warning", text,
			"another version is installed than the one that runs: systemctl restart dvcertd");
	return step_json("daemon", "ok", text, NULL);
}

/* ---- all of it ---- */

static void copy_steps(struct json *steps, const struct json *answer)
{
	const struct json *list = NULL;
	const char *step = NULL, *state = NULL, *text = NULL, *remedy;
	if (json_get_arr(answer, "steps", &list) != 1)
		return;
	for (size_t i = 0; i < json_arr_len(list); i++) {
		const struct json *s = json_arr_at(list, i);
		if (json_type(s) != JSON_OBJECT || json_get_str(s, "step", &step) != 1 ||
		    json_get_str(s, "state", &state) != 1 || json_get_str(s, "text", &text) != 1)
			continue;
		if (json_get_str(s, "remedy", &remedy) != 1)
			remedy = NULL;
		json_add(steps, step_json(step, state, text, remedy));
	}
}

/* The first that is broken, or NULL. */
static const struct json *first_broken(const struct json *steps)
{
	for (size_t i = 0; i < json_arr_len(steps); i++) {
		const char *state = NULL;
		if (json_get_str(json_arr_at(steps, i), "state", &state) == 1 && strcmp(state, "broken") == 0)
			return json_arr_at(steps, i);
	}
	return NULL;
}

/* A copy, so that the answer can be put together anew. */
static struct json *copy_of(const struct json *j)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(64u << 20);
	struct json *copy = NULL;
	json_write(j, 0, &sb);
	if (!strbuf_ok(&sb) || json_parse(strbuf_str(&sb), sb.len, 64u << 20, &copy, NULL) < 0)
		return json_new_obj();
	return copy;
}

int doctor_complete(struct doctor_front *f, struct json **ret)
{
	struct json *o = json_new_obj(), *steps = json_new_arr();
	const struct json *bad;
	const char *step = NULL, *remedy = NULL;
	int64_t n = 0;
	json_add(steps, look_at_config(f));
	json_add(steps, look_at_daemon(f));
	if (f->answer)
		copy_steps(steps, f->answer);
	else
		json_add(steps, step_json("others", "skipped", "all further steps need the daemon", NULL));
	bad = first_broken(steps);
	if (bad && json_get_str(bad, "step", &step) == 1 && json_get_str(bad, "remedy", &remedy) != 1)
		remedy = NULL;
	if (json_get_i64(f->answer, "api_requests", &n) != 1)
		n = 0;
	json_set_str(o, "name", f->name);
	json_set_str(o, "result", bad ? "broken" : "ok");
	json_set_str(o, "first_broken", step);
	json_set_str(o, "remedy", remedy);
	json_set_i64(o, "api_requests", n);
	json_set(o, "steps", steps);
	if (f->answer && json_get(f->answer, "status"))
		json_set(o, "status", copy_of(json_get(f->answer, "status")));
	json_free(TAKE_PTR(f->answer));
	*ret = o;
	return bad ? 1 : 0;
}
