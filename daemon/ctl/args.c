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

/* Words that mean the same for all verbs; one that is not known is a failure. */
static int result_exit_code(const struct json *answer)
{
	static const struct {
		const char *result;
		int code;
	} CODES[] = {
		{ "valid", 0 },
		{ "revoked", 0 },
		{ "canceled", 0 },
		{ "validated", 0 },
		{ "sent", 0 },
		{ "issued", 0 },
		{ "listed", 0 },
		{ "created", 0 },
		{ "nothing", EXIT_CODE_NOTHING },
		{ "timeout", EXIT_CODE_AGAIN },
		{ "pending", EXIT_CODE_AGAIN },
		{ "approval", EXIT_CODE_AGAIN },
		{ "not_validated", EXIT_CODE_AGAIN },
	};
	const char *result = NULL;
	if (json_get_str(answer, "result", &result) != 1)
		return EXIT_CODE_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(CODES); i++) {
		if (strcmp(CODES[i].result, result) == 0)
			return CODES[i].code;
	}
	return EXIT_CODE_FAILED;
}

static int plan_exit_code(const struct json *answer)
{
	int64_t n = 0;
	if (json_get_i64(json_get(answer, "totals"), "domains", &n) != 1)
		return EXIT_CODE_FAILED;
	return n > 0 ? 0 : EXIT_CODE_NOTHING;
}

const struct ctl_verb ctl_verbs[] = {
	{ .name = "status",
	  .synopsis = "status [NAME...] [--watch [SECONDS]]",
	  .summary = "what is managed, what happens next and when",
	  .max_names = ARGS_NAMES_ANY,
	  .options = CTL_WATCH,
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
	{ .name = "doctor",
	  .synopsis = "doctor [NAME] [--config FILE]",
	  .summary = "what is broken, from the configuration to what servers show; changes nothing",
	  .max_names = 1,
	  .options = CTL_CONFIG,
	  .render = render_doctor },
	{ .name = "plan",
	  .synopsis = "plan [NAME...]",
	  .summary = "what would be done now, with its requests and costs; changes nothing",
	  .max_names = ARGS_NAMES_ANY,
	  .render = render_plan,
	  .exit_code = plan_exit_code },
	{ .name = "renew",
	  .synopsis = "renew NAME...|--all [--yes]",
	  .summary = "get a new certificate now: a reissue inside the plan, else an order",
	  .max_names = ARGS_NAMES_ANY,
	  .options = CTL_ALL | CTL_YES,
	  .render = render_renew,
	  .exit_code = renew_exit_code },
	{ .name = "reissue",
	  .synopsis = "reissue NAME...|--all [--new-key]",
	  .summary = "another certificate inside the plan",
	  .max_names = ARGS_NAMES_ANY,
	  .options = CTL_ALL | CTL_NEW_KEY,
	  .render = render_reissue,
	  .exit_code = renew_exit_code },
	{ .name = "duplicate",
	  .synopsis = "duplicate NAME --csr FILE|--new-key --out DIR [--timeout 60s]",
	  .summary = "the same certificate for another key, into a folder",
	  .min_names = 1,
	  .max_names = 1,
	  .options = CTL_CSR | CTL_NEW_KEY | CTL_OUT | CTL_TIMEOUT,
	  .render = render_duplicate,
	  .exit_code = result_exit_code },
	{ .name = "revoke",
	  .synopsis = "revoke NAME [--reason R] [--certificate-id N | --order] --yes",
	  .summary = "revoke the certificate, another one, or all of its order",
	  .min_names = 1,
	  .max_names = 1,
	  .options = CTL_REASON | CTL_CERTIFICATE_ID | CTL_ORDER | CTL_YES,
	  .render = render_revoke,
	  .exit_code = result_exit_code },
	{ .name = "cancel",
	  .synopsis = "cancel NAME --yes",
	  .summary = "end the issuance that is under way",
	  .min_names = 1,
	  .max_names = 1,
	  .options = CTL_YES,
	  .render = render_cancel,
	  .exit_code = result_exit_code },
	{ .name = "check-dcv",
	  .synopsis = "check-dcv NAME",
	  .summary = "have the CA look at the proof now",
	  .min_names = 1,
	  .max_names = 1,
	  .render = render_check_dcv,
	  .exit_code = result_exit_code },
	{ .name = "resend-emails",
	  .synopsis = "resend-emails NAME",
	  .summary = "have the CA send its validation mail again",
	  .min_names = 1,
	  .max_names = 1,
	  .render = render_resend_emails,
	  .exit_code = result_exit_code },
	{ .name = "deploy",
	  .synopsis = "deploy NAME...",
	  .summary = "bring the installed certificate to all targets again",
	  .min_names = 1,
	  .max_names = ARGS_NAMES_ANY,
	  .render = render_deploy,
	  .exit_code = renew_exit_code },
	{ .name = "rollback",
	  .synopsis = "rollback NAME",
	  .summary = "back to the certificate before this one, and to all targets with it",
	  .min_names = 1,
	  .max_names = 1,
	  .render = render_rollback },
	{ .name = "auth-key",
	  .synopsis = "auth-key show | auth-key create [--days N] --yes",
	  .summary = "the account's AuthKeys, for instant issuance",
	  .min_names = 1,
	  .max_names = 1,
	  .has_action = true,
	  .options = CTL_DAYS | CTL_YES,
	  .render = render_auth_key,
	  .exit_code = result_exit_code },
	{ .name = "budget",
	  .synopsis = "budget",
	  .summary = "orders and requests that are left",
	  .render = render_budget },
	{ .name = "wait",
	  .synopsis = "wait NAME... [--timeout 60s]",
	  .summary = "until all are valid, or one has failed",
	  .min_names = 1,
	  .max_names = ARGS_NAMES_ANY,
	  .options = CTL_TIMEOUT,
	  .render = render_wait,
	  .exit_code = result_exit_code },
	{ .name = "reload",
	  .synopsis = "reload",
	  .summary = "read the configuration again",
	  .render = render_reload },
	{ .name = NULL },
};

/* What may follow a verb, in the order of the bits of enum ctl_option. */
static const struct verb_option {
	const char *name;
	const char *key; /* in the request; NULL: not sent */
} OPTIONS[] = {
	{ "timeout", "timeout" }, { "all", "all" },
	{ "yes", "yes" },	  { "new-key", "new_key" },
	{ "csr", NULL },	  { "out", NULL },
	{ "reason", "reason" },	  { "certificate-id", "certificate_id" },
	{ "order", "order" },	  { "days", "days" },
	{ "watch", NULL },	  { "config", NULL },
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
	const char *names[32];
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
	const char *what = v->has_action ? "one word" : "one name only";
	if (a->n_names < v->min_names)
		return err_set(reterr, -EINVAL, "%s needs a %s: dvcertctl %s", v->name,
			       v->has_action ? "word" : "name", v->synopsis);
	if (a->n_names > v->max_names)
		return err_set(reterr, -EINVAL, "%s takes %s: dvcertctl %s", v->name,
			       v->max_names ? what : "no names", v->synopsis);
	for (size_t i = 0; i < a->n_names; i++) {
		if (a->names[i][0] == '\0')
			return err_set(reterr, -EINVAL, "an empty name: dvcertctl %s", v->synopsis);
	}
	return 0;
}

static int check_options(const struct ctl_args *a, struct err *reterr)
{
	unsigned strange = a->given & ~a->verb->options;
	for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
		if (strange & (1u << i))
			return err_set(reterr, -EINVAL, "%s knows no --%s: dvcertctl %s", a->verb->name,
				       OPTIONS[i].name, a->verb->synopsis);
	}
	return 0;
}

static int wrong_use(const struct ctl_args *a, const char *what, struct err *reterr)
{
	return err_set(reterr, -EINVAL, "%s %s: dvcertctl %s", a->verb->name, what, a->verb->synopsis);
}

static bool has(const struct ctl_args *a, unsigned options)
{
	return (a->given & options) == options;
}

/* What only one verb wants of its options. */
static int check_use(const struct ctl_args *a, struct err *reterr)
{
	const char *verb = a->verb->name;
	if ((a->verb->options & CTL_ALL) && has(a, CTL_ALL) == (a->n_names > 0))
		return wrong_use(a, "needs names or --all, and not both", reterr);
	if (strcmp(verb, "revoke") == 0 && has(a, CTL_CERTIFICATE_ID | CTL_ORDER))
		return wrong_use(a, "takes --certificate-id or --order, not both", reterr);
	if (strcmp(verb, "duplicate") == 0) {
		if (has(a, CTL_CSR) == has(a, CTL_NEW_KEY))
			return wrong_use(a, "needs either --csr or --new-key", reterr);
		if (!has(a, CTL_OUT))
			return wrong_use(a, "needs --out, the folder for its files", reterr);
	}
	if (a->verb->has_action) {
		bool create = strcmp(a->names[0], "create") == 0;
		if (!create && strcmp(a->names[0], "show") != 0)
			return wrong_use(a, "takes show or create", reterr);
		if (!create && a->given)
			return wrong_use(a, "show takes no options", reterr);
	}
	return 0;
}

enum { OPT_JSON = 256, OPT_VERSION, OPT_COLOUR, OPT_VERB };

static int take_number(const char *name, int64_t *ret, struct err *reterr)
{
	uint64_t n = 0;
	if (str_parse_u64(optarg, &n) < 0 || n == 0 || n > INT64_MAX)
		return err_set(reterr, -EINVAL, "--%s %s: not a number above 0", name, optarg);
	*ret = (int64_t)n;
	return 0;
}

/* "5", "5s", "2m": 0 is a wish that cannot be met. -EINVAL: something else. */
static int interval_of(const char *s, int64_t *ret)
{
	uint64_t n = 0;
	if (str_parse_u64(s, &n) < 0)
		return str_parse_duration(s, ret);
	*ret = (int64_t)MIN(n, (uint64_t)86400);
	return 0;
}

/* The word behind --watch is its value when it looks like one: no domain is called so. */
static int take_watch(char **argv, struct ctl_args *a, struct err *reterr)
{
	const char *word = optarg ? optarg : argv[optind];
	bool is_one = word && interval_of(word, &a->watch) == 0;
	if ((is_one && a->watch <= 0) || (optarg && !is_one))
		return err_set(reterr, -EINVAL, "--watch %s: not a time above 0 (5, 90s, 2m)", word);
	if (!is_one)
		a->watch = CTL_WATCH_DEFAULT;
	else if (!optarg)
		optind++;
	return 0;
}

static int take_colour(struct ctl_args *a, struct err *reterr)
{
	static const char *const words[] = { "auto", "never", "always" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], optarg) == 0) {
			a->colour = (enum ctl_colour)i;
			return 0;
		}
	}
	return err_set(reterr, -EINVAL, "--color %s: must be auto, never or always", optarg);
}

static int take_verb_option(enum ctl_option o, const char *name, char **argv, struct ctl_args *a,
			    struct err *reterr)
{
	a->given |= o;
	/* --reason --yes: what looks like an option was meant as one. */
	if (optarg && (optarg[0] == '\0' || strncmp(optarg, "--", 2) == 0))
		return err_set(reterr, -EINVAL, "option --%s needs a value", name);
	switch (o) {
	case CTL_TIMEOUT:
		if (str_parse_duration(optarg, &a->timeout) < 0)
			return err_set(reterr, -EINVAL, "--timeout %s: not a duration (90s, 15m, 12h)",
				       optarg);
		return 0;
	case CTL_CSR: a->csr_file = optarg; return 0;
	case CTL_OUT: a->out_dir = optarg; return 0;
	case CTL_REASON: a->reason = optarg; return 0;
	case CTL_CERTIFICATE_ID: return take_number(name, &a->certificate_id, reterr);
	case CTL_DAYS: return take_number(name, &a->days, reterr);
	case CTL_WATCH: return take_watch(argv, a, reterr);
	case CTL_CONFIG: a->config_file = optarg; return 0;
	case CTL_ALL:
	case CTL_YES:
	case CTL_NEW_KEY:
	case CTL_ORDER: break;
	}
	return 0;
}

/* One option that getopt_long() found; texts of its own errors go here too, because it is told to be quiet. */
static int take_option(int opt, char **argv, struct ctl_args *a, struct err *reterr)
{
	if (opt >= OPT_VERB)
		return take_verb_option((enum ctl_option)(1u << (opt - OPT_VERB)),
					OPTIONS[opt - OPT_VERB].name, argv, a, reterr);
	switch (opt) {
	case 's': a->socket = optarg; return 0;
	case 'h': a->action = CTL_HELP; return 0;
	case OPT_JSON: a->json = true; return 0;
	case OPT_VERSION: a->action = CTL_VERSION; return 0;
	case OPT_COLOUR: return take_colour(a, reterr);
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
		{ "color", required_argument, NULL, OPT_COLOUR },
		{ "timeout", required_argument, NULL, OPT_VERB },
		{ "all", no_argument, NULL, OPT_VERB + 1 },
		{ "yes", no_argument, NULL, OPT_VERB + 2 },
		{ "new-key", no_argument, NULL, OPT_VERB + 3 },
		{ "csr", required_argument, NULL, OPT_VERB + 4 },
		{ "out", required_argument, NULL, OPT_VERB + 5 },
		{ "reason", required_argument, NULL, OPT_VERB + 6 },
		{ "certificate-id", required_argument, NULL, OPT_VERB + 7 },
		{ "order", no_argument, NULL, OPT_VERB + 8 },
		{ "days", required_argument, NULL, OPT_VERB + 9 },
		{ "watch", optional_argument, NULL, OPT_VERB + 10 },
		{ "config", required_argument, NULL, OPT_VERB + 11 },
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

static int check_all(const struct ctl_args *a, struct err *reterr)
{
	int r = check_names(a, reterr);
	if (r == 0)
		r = check_options(a, reterr);
	return r == 0 ? check_use(a, reterr) : r;
}

int ctl_args_parse(int argc, char **argv, struct ctl_args *ret, struct err *reterr)
{
	struct ctl_args a = { .timeout = CTL_TIMEOUT_DEFAULT };
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
		r = check_all(&a, reterr);
		if (r < 0)
			return r;
	}
	*ret = a;
	return 0;
}

static void add_option(const struct ctl_args *a, size_t i, struct json *rq)
{
	const char *key = OPTIONS[i].key;
	switch ((enum ctl_option)(1u << i)) {
	case CTL_TIMEOUT: json_set_i64(rq, key, a->timeout); break;
	case CTL_REASON: json_set_str(rq, key, a->reason); break;
	case CTL_CERTIFICATE_ID: json_set_i64(rq, key, a->certificate_id); break;
	case CTL_DAYS: json_set_i64(rq, key, a->days); break;
	case CTL_ALL:
	case CTL_YES:
	case CTL_NEW_KEY:
	case CTL_ORDER: json_set_bool(rq, key, true); break;
	case CTL_CSR:
	case CTL_OUT:
	case CTL_WATCH:
	case CTL_CONFIG: break;
	}
}

void ctl_args_request(const struct ctl_args *a, const char *csr, struct strbuf *sb)
{
	_cleanup_(json_freep) struct json *rq = json_new_obj();
	struct json *names = json_new_arr();
	json_set_str(rq, "verb", a->verb->name);
	for (size_t i = 0; i < a->n_names && !a->verb->has_action; i++)
		json_add_str(names, a->names[i]);
	json_set(rq, "names", names);
	if (a->verb->has_action)
		json_set_str(rq, "action", a->names[0]);
	if (csr)
		json_set_str(rq, "csr", csr);
	for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
		unsigned bit = 1u << i;
		/* A time-out is always said; whose key a duplicate is for, is dvcertctl's business. */
		if (!(a->verb->options & bit) || (!(a->given & bit) && bit != CTL_TIMEOUT) ||
		    (csr && bit == CTL_NEW_KEY))
			continue;
		add_option(a, i, rq);
	}
	json_write(rq, 0, sb);
}

void ctl_args_help(struct strbuf *sb)
{
	strbuf_adds(sb, "Usage: dvcertctl [OPTION...] COMMAND\n"
			"Talks to dvcertd over its control socket.\n\nCommands:\n");
	for (const struct ctl_verb *v = ctl_verbs; v->name; v++)
		strbuf_addf(sb, "  %s\n      %s\n", v->synopsis, v->summary);
	strbuf_adds(sb,
		    "\nOptions:\n"
		    "  -s, --socket SOCKET            where dvcertd listens\n"
		    "      --json                     the answer as JSON\n"
		    "      --color WHEN               auto (on a terminal without NO_COLOR), never, always\n"
		    "      --watch [SECONDS]          `status` again and again (2), until q or Ctrl-C\n"
		    "      --config FILE              the configuration that `doctor` looks at\n"
		    "      --timeout DURATION         how long `wait` and `duplicate` wait (60s)\n"
		    "      --yes                      do what costs money or cannot be undone\n"
		    "  -h, --help                     this text\n"
		    "      --version                  the version\n"
		    "\nExit codes: 0 done, 1 failed, 2 nothing to do, 64 usage, 69 dvcertd is not running,\n"
		    "75 try again later, 77 not permitted, 78 bad configuration.\n");
}
