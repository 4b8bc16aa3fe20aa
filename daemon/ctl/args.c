/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs and the options. A new verb is a row here and a render function; the daemon decides what it means. */
#include "daemon/ctl/args.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "common/str.h"

enum { EXIT_CODE_FAILED = 1, EXIT_CODE_NOTHING = 2, EXIT_CODE_AGAIN = 75 };

static size_t list_len(const struct json *answer, const char *key)
{
	const struct json *l = NULL;
	return json_get_arr(answer, key, &l) == 1 ? json_arr_len(l) : 0;
}

static int renew_exit_code(const struct json *answer)
{
	if (list_len(answer, "refused") > 0)
		return EXIT_CODE_FAILED;
	return list_len(answer, "accepted") > 0 ? 0 : EXIT_CODE_NOTHING;
}

static int wait_exit_code(const struct json *answer)
{
	const char *result = NULL;
	if (json_get_str(answer, "result", &result) != 1)
		return EXIT_CODE_FAILED;
	if (strcmp(result, "valid") == 0)
		return 0;
	return strcmp(result, "timeout") == 0 ? EXIT_CODE_AGAIN : EXIT_CODE_FAILED;
}

const struct ctl_verb ctl_verbs[] = {
	{ .name = "status",
	  .synopsis = "status [NAME...]",
	  .summary = "what is managed, what happens next and when",
	  .max_names = ARGS_NAMES_ANY,
	  .render = render_status },
	{ .name = "show",
	  .synopsis = "show NAME",
	  .summary = "everything about one domain",
	  .min_names = 1,
	  .max_names = 1,
	  .render = render_show },
	{ .name = "history",
	  .synopsis = "history NAME",
	  .summary = "what happened to one domain",
	  .min_names = 1,
	  .max_names = 1,
	  .render = render_history },
	{ .name = "renew",
	  .synopsis = "renew NAME...",
	  .summary = "get a new certificate now",
	  .min_names = 1,
	  .max_names = ARGS_NAMES_ANY,
	  .render = render_renew,
	  .exit_code = renew_exit_code },
	{ .name = "deploy",
	  .synopsis = "deploy NAME...",
	  .summary = "bring the installed certificate to all targets again",
	  .min_names = 1,
	  .max_names = ARGS_NAMES_ANY,
	  .render = render_deploy,
	  .exit_code = renew_exit_code },
	{ .name = "wait",
	  .synopsis = "wait NAME... [--timeout 60s]",
	  .summary = "until all are valid, or one has failed",
	  .min_names = 1,
	  .max_names = ARGS_NAMES_ANY,
	  .has_timeout = true,
	  .render = render_wait,
	  .exit_code = wait_exit_code },
	{ .name = "reload",
	  .synopsis = "reload",
	  .summary = "read the configuration again",
	  .render = render_reload },
	{ .name = NULL },
};

static const struct ctl_verb *verb_find(const char *name)
{
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

static int verb_unknown(const char *name, struct err *reterr)
{
	const char *names[16];
	size_t n = 0;
	for (const struct ctl_verb *v = ctl_verbs; v->name && n < ARRAY_SIZE(names); v++)
		names[n++] = v->name;
	const char *near = str_suggest(name, names, n);
	if (near)
		return err_set(reterr, -EINVAL, "no such command \"%s\" (did you mean \"%s\"?)", name, near);
	return err_set(reterr, -EINVAL, "no such command \"%s\" (see dvcertctl --help)", name);
}

static int check_names(const struct ctl_args *a, struct err *reterr)
{
	const struct ctl_verb *v = a->verb;
	if (a->n_names < v->min_names)
		return err_set(reterr, -EINVAL, "%s needs a name: dvcertctl %s", v->name, v->synopsis);
	if (a->n_names > v->max_names)
		return err_set(reterr, -EINVAL, "%s takes %s: dvcertctl %s", v->name,
			       v->max_names ? "one name only" : "no names", v->synopsis);
	for (size_t i = 0; i < a->n_names; i++) {
		if (a->names[i][0] == '\0')
			return err_set(reterr, -EINVAL, "an empty name: dvcertctl %s", v->synopsis);
	}
	return 0;
}

enum { OPT_JSON = 256, OPT_VERSION, OPT_TIMEOUT };

/* One option that getopt_long() found; texts of its own errors go here too, because it is told to be quiet. */
static int take_option(int opt, char **argv, struct ctl_args *a, struct err *reterr)
{
	switch (opt) {
	case 's': a->socket = optarg; return 0;
	case 'h': a->action = CTL_HELP; return 0;
	case OPT_JSON: a->json = true; return 0;
	case OPT_VERSION: a->action = CTL_VERSION; return 0;
	case OPT_TIMEOUT:
		if (str_parse_duration(optarg, &a->timeout) < 0)
			return err_set(reterr, -EINVAL, "--timeout %s: not a duration (90s, 15m, 12h)",
				       optarg);
		return 0;
	case ':': return err_set(reterr, -EINVAL, "option %s needs a value", argv[optind - 1]);
	default:
		if (optopt > 0 && optopt < OPT_JSON)
			return err_set(reterr, -EINVAL, "no such option -%c (see dvcertctl --help)", optopt);
		return err_set(reterr, -EINVAL, "option %s is not understood (see dvcertctl --help)",
			       argv[optind - 1]);
	}
}

static int take_options(int argc, char **argv, struct ctl_args *a, struct err *reterr)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "timeout", required_argument, NULL, OPT_TIMEOUT },
		{ NULL, 0, NULL, 0 },
	};
	int opt;
	optind = 0; /* glibc: start anew, so that a test may parse twice */
	while ((opt = getopt_long(argc, argv, ":s:h", options, NULL)) != -1) {
		int r = take_option(opt, argv, a, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

int ctl_args_parse(int argc, char **argv, struct ctl_args *ret, struct err *reterr)
{
	struct ctl_args a = { .timeout = -1 };
	int r = take_options(argc, argv, &a, reterr);
	if (r < 0)
		return r;
	if (a.action == CTL_RUN) {
		if (optind >= argc)
			return err_set(reterr, -EINVAL, "which command? (see dvcertctl --help)");
		a.verb = verb_find(argv[optind]);
		if (!a.verb)
			return verb_unknown(argv[optind], reterr);
		a.names = argv + optind + 1;
		a.n_names = (size_t)(argc - optind - 1);
		r = check_names(&a, reterr);
		if (r < 0)
			return r;
		if (a.timeout >= 0 && !a.verb->has_timeout)
			return err_set(reterr, -EINVAL, "%s knows no --timeout: dvcertctl %s", a.verb->name,
				       a.verb->synopsis);
		if (a.timeout < 0)
			a.timeout = CTL_TIMEOUT_DEFAULT;
	}
	*ret = a;
	return 0;
}

void ctl_args_request(const struct ctl_args *a, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *rq = json_new_obj();
	struct json *names = json_new_arr();
	json_set_str(rq, "verb", a->verb->name);
	for (size_t i = 0; i < a->n_names; i++)
		json_add_str(names, a->names[i]);
	json_set(rq, "names", names);
	if (a->verb->has_timeout)
		json_set_i64(rq, "timeout", a->timeout);
	json_write(rq, 0, sb);
}

void ctl_args_help(struct strbuf *sb)
{
	strbuf_adds(sb, "Usage: dvcertctl [OPTION...] COMMAND\n"
			"Talks to dvcertd over its control socket.\n\nCommands:\n");
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++)
		strbuf_addf(sb, "  %-30s %s\n", v->synopsis, v->summary);
	strbuf_adds(sb,
		    "\nOptions:\n"
		    "  -s, --socket SOCKET            where dvcertd listens\n"
		    "      --json                     the answer as JSON\n"
		    "      --timeout DURATION         how long `wait` waits (60s)\n"
		    "  -h, --help                     this text\n"
		    "      --version                  the version\n"
		    "\nExit codes: 0 done, 1 failed, 2 nothing to do, 64 usage, 69 dvcertd is not running,\n"
		    "75 try again later, 77 not permitted, 78 bad configuration.\n");
}
