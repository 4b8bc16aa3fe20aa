/* SPDX-License-Identifier: Apache-2.0 */
/* dvcertctl: one question to the daemon, one answer on stdout. What went wrong goes to stderr, and the exit code tells
 * scripts (sysexits.h). Decides nothing: the daemon does. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "config/load.h"
#include "daemon/ctl/args.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/doctor.h"
#include "daemon/ctl/duplicate.h"
#include "daemon/ctl/render.h"
#include "daemon/ctl/watch.h"

enum { EXIT_CODE_FAILED = 1, EXIT_CODE_USAGE = 64, EXIT_CODE_AGAIN = 75, EXIT_CODE_DENIED = 77 };

#define ANSWER_TIMEOUT_MS 60000	 /* a reload of a large configuration is the slowest */
#define DOCTOR_TIMEOUT_MS 240000 /* the daemon itself gives up after 180 s */
#define OUTPUT_MAX	  (256u << 20)
#define REQUEST_MAX	  (64u << 10) /* the daemon's limit for a line */

/* Writes the text and reports a full disk or a closed pipe. */
static int print(struct strbuf *sb, int exit_code)
{
	bool complete = strbuf_ok(sb);
	if (fputs(strbuf_str(sb), stdout) == EOF || fflush(stdout) == EOF)
		complete = false;
	if (!complete)
		fputs("dvcertctl: the answer could not be written in full\n", stderr);
	return complete ? exit_code : EXIT_CODE_FAILED;
}

static bool wants_colour(const struct ctl_args *a)
{
	const char *no_colour = getenv("NO_COLOR"); /* https://no-color.org: any value that is not empty */
	if (a->colour != CTL_COLOUR_AUTO)
		return a->colour == CTL_COLOUR_ALWAYS;
	return isatty(STDOUT_FILENO) && (!no_colour || *no_colour == '\0');
}

static struct render_options look_of_stdout(const struct ctl_args *a)
{
	struct render_options o = { .now = clock_now(), .colour = wants_colour(a) };
	struct winsize size = { 0 };
	if (!isatty(STDOUT_FILENO))
		return o;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		o.columns = size.ws_col;
	return o;
}

/* Failures of our own look to a script like refusals of the daemon. */
static int fail(const struct ctl_args *a, int exit_code, const char *text)
{
	fprintf(stderr, "dvcertctl: %s\n", text);
	if (!a->json)
		return exit_code;
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT(OUTPUT_MAX);
	_cleanup_(json_freep) struct json *j = json_new_obj();
	json_set_i64(j, "code", exit_code);
	json_set_str(j, "error", text);
	render_json(j, &out);
	return print(&out, exit_code);
}

static int refused(const struct ctl_args *a, const struct json *answer)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT(OUTPUT_MAX), out = STRBUF_INIT(OUTPUT_MAX);
	int64_t code = 0;
	if (json_get_i64(answer, "code", &code) != 1 || code <= 0 || code > 125)
		code = EXIT_CODE_FAILED;
	render_refusal(answer, &text);
	fprintf(stderr, "dvcertctl: %s", strbuf_str(&text));
	if (!a->json)
		return (int)code;
	render_json(answer, &out);
	return print(&out, (int)code);
}

/* A question to the daemon whose answer is kept: 0, or the exit code after it was told what went wrong. */
static int ask(const struct ctl_args *a, const char *csr, struct json **ret)
{
	_cleanup_free_ char *default_socket = a->socket ? NULL : config_default_socket();
	_cleanup_(strbuf_done) struct strbuf request = STRBUF_INIT(REQUEST_MAX);
	_cleanup_(json_freep) struct json *answer = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	struct err e = ERR_INIT;
	bool ok = false, waits = a->verb->options & CTL_TIMEOUT;
	int64_t timeout_ms = ANSWER_TIMEOUT_MS + (waits ? a->timeout * 1000 : 0);
	ctl_args_request(a, csr, &request);
	if (!strbuf_ok(&request))
		return fail(a, EXIT_CODE_USAGE, "too much for one request (64 KiB)");
	int r = client_call(a->socket ? a->socket : default_socket, strbuf_str(&request), timeout_ms, &text,
			    &len, &e);
	if (r < 0)
		return fail(a, client_exit_code(r), e.text);
	if (json_parse(text, len, CLIENT_ANSWER_MAX, &answer, &e) < 0) {
		err_prefix(&e, "dvcertd's answer");
		return fail(a, EXIT_CODE_FAILED, e.text);
	}
	if (json_get_bool(answer, "ok", &ok) != 1 || !ok)
		return refused(a, answer);
	*ret = TAKE_PTR(answer);
	return 0;
}

static int show_answer(const struct ctl_args *a, const struct json *answer, const char *more)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT(OUTPUT_MAX);
	if (a->json) {
		render_json(answer, &out);
	} else {
		struct render_options o = look_of_stdout(a);
		a->verb->render(answer, &o, &out);
		strbuf_adds(&out, more);
	}
	return print(&out, a->verb->exit_code ? a->verb->exit_code(answer) : 0);
}

static int run(const struct ctl_args *a)
{
	_cleanup_(json_freep) struct json *answer = NULL;
	int code = ask(a, NULL, &answer);
	return code ? code : show_answer(a, answer, "");
}

/* --- duplicate: the only verb that does something here --- */

static int code_of_files(int r)
{
	switch (r) {
	case -EINVAL:
	case -EBADMSG: return EXIT_CODE_USAGE;
	case -EBUSY: return EXIT_CODE_AGAIN;
	case -EACCES:
	case -EPERM:
	case -EROFS: return EXIT_CODE_DENIED;
	default: return EXIT_CODE_FAILED;
	}
}

/* What kind of key the domain has, and its names. */
static int ask_domain(const struct ctl_args *a, struct json **ret)
{
	struct ctl_args show = *a;
	for (show.verb = ctl_verbs; strcmp(show.verb->name, "show") != 0;)
		show.verb++;
	return ask(&show, NULL, ret);
}

static int run_duplicate(const struct ctl_args *a)
{
	_cleanup_(duplicate_done) struct duplicate d = { .dir_fd = -1 };
	_cleanup_(json_freep) struct json *domain = NULL, *answer = NULL;
	_cleanup_free_ char *files = NULL;
	struct err e = ERR_INIT;
	const char *result = NULL;
	int code = ask_domain(a, &domain);
	if (code)
		return code;
	int r = duplicate_begin(a->out_dir, a->csr_file, json_get(domain, "domain"), &d, &e);
	if (r < 0)
		return fail(a, code_of_files(r), e.text);
	code = ask(a, d.csr, &answer);
	if (code)
		return code;
	if (json_get_str(answer, "result", &result) != 1 || strcmp(result, "issued") != 0)
		return show_answer(a, answer, "");
	r = duplicate_finish(&d, answer, &e);
	if (r < 0)
		return fail(a, code_of_files(r), e.text);
	files = xasprintf("  in %s: %srequest.csr cert.pem chain.pem fullchain.pem\n", d.dir,
			  a->csr_file ? "" : "privkey.pem ");
	return show_answer(a, answer, files);
}

/* --- what this side has a part in --- */

static int run_watch(const struct ctl_args *a)
{
	_cleanup_free_ char *default_socket = a->socket ? NULL : config_default_socket();
	_cleanup_(strbuf_done) struct strbuf request = STRBUF_INIT(REQUEST_MAX);
	struct watch_options o = { .socket = a->socket ? a->socket : default_socket,
				   .interval = a->watch,
				   .json = a->json,
				   .colour = wants_colour(a) };
	ctl_args_request(a, NULL, &request);
	if (!strbuf_ok(&request))
		return fail(a, EXIT_CODE_USAGE, "too much for one request (64 KiB)");
	o.request = strbuf_str(&request);
	return watch_run(&o);
}

/* The daemon's part of it; what it refuses is told as ever, what keeps it from answering is for the doctor. 0 or an exit code. */
static int ask_doctor(const struct ctl_args *a, struct doctor_front *f, struct err *e)
{
	_cleanup_free_ char *default_socket = a->socket ? NULL : config_default_socket();
	_cleanup_(strbuf_done) struct strbuf request = STRBUF_INIT(REQUEST_MAX);
	_cleanup_(json_freep) struct json *answer = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	bool ok = false;
	int64_t code = 0;
	const char *why = "";
	ctl_args_request(a, NULL, &request);
	int r = client_call(a->socket ? a->socket : default_socket, strbuf_str(&request), DOCTOR_TIMEOUT_MS,
			    &text, &len, e);
	f->denied = r < 0 && client_exit_code(r) == EXIT_CODE_DENIED;
	if (r == 0)
		r = json_parse(text, len, CLIENT_ANSWER_MAX, &answer, e);
	if (r < 0) {
		f->absence = e->text;
		return 0;
	}
	if (json_get_bool(answer, "ok", &ok) == 1 && ok) {
		f->answer = TAKE_PTR(answer);
		return 0;
	}
	if (json_get_i64(answer, "code", &code) != 1 || code != EXIT_CODE_DENIED ||
	    json_get_str(answer, "error", &why) != 1)
		return refused(a, answer);
	(void)err_set(e, -EACCES, "%s", why);
	f->absence = e->text;
	f->denied = true;
	return 0;
}

static int run_doctor(const struct ctl_args *a)
{
	struct doctor_front f = { .name = a->n_names ? a->names[0] : NULL, .config_file = a->config_file };
	_cleanup_(json_freep) struct json *whole = NULL;
	struct err e = ERR_INIT;
	int code = ask_doctor(a, &f, &e);
	if (code)
		return code;
	code = doctor_complete(&f, &whole);
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT(OUTPUT_MAX);
	struct render_options o = look_of_stdout(a);
	if (a->json)
		render_json(whole, &out);
	else
		render_doctor(whole, &o, &out);
	return print(&out, code);
}

static int run_verb(const struct ctl_args *a)
{
	if (strcmp(a->verb->name, "duplicate") == 0)
		return run_duplicate(a);
	if (strcmp(a->verb->name, "doctor") == 0)
		return run_doctor(a);
	return a->watch > 0 ? run_watch(a) : run(a);
}

int main(int argc, char **argv)
{
	struct ctl_args a;
	struct err e = ERR_INIT;
	if (ctl_args_parse(argc, argv, &a, &e) < 0) {
		fprintf(stderr, "dvcertctl: %s\n", e.text);
		return EXIT_CODE_USAGE;
	}
	if (a.action == CTL_RUN)
		return run_verb(&a);
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT(OUTPUT_MAX);
	if (a.action == CTL_HELP)
		ctl_args_help(&out);
	else
		strbuf_adds(&out, "dvcertctl " DVCERT_VERSION "\n");
	return print(&out, 0);
}
