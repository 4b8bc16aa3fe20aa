/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/timefmt.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/render.h"

#define ANSWER_MS     10000
#define PICTURE_MAX   (64u << 20)
#define SIGNATURE_MAX (64u << 10)
#define MARK_MS	      10000 /* a mark stays for so long: a glance every now and then has to find it */

/* The other screen, without a cursor; and back. */
#define SCREEN_BEGIN "\033[?1049h\033[?25l"
#define SCREEN_END   "\033[?25h\033[?1049l"
#define HOME	     "\033[H"
#define LINE_END     "\033[K\n"
#define REST_CLEAR   "\033[J"

/* --- what changed --- */

static const char *text_at(const struct json *j, const char *key)
{
	const char *s = NULL;
	return json_get_str(j, key, &s) == 1 ? s : "";
}

/* All that a person would call another state; times that only pass are left out. */
static void add_signature(struct strbuf *sb, const struct json *d)
{
	const struct json *targets = json_get(d, "deploy"), *error = json_get(d, "error");
	int64_t generation = 0;
	if (json_get_i64(d, "generation", &generation) != 1)
		generation = 0;
	strbuf_addf(sb, "%s|%s|%s|%lld|%s|%s", text_at(d, "state"), text_at(d, "phase"),
		    text_at(json_get(d, "next"), "action"), (long long)generation, text_at(error, "code"),
		    text_at(error, "message"));
	for (size_t i = 0; i < json_arr_len(targets); i++)
		strbuf_addf(sb, "|%s=%s", text_at(json_arr_at(targets, i), "target"),
			    text_at(json_arr_at(targets, i), "state"));
}

static bool is_same(const struct json *a, const struct json *b)
{
	_cleanup_(strbuf_done) struct strbuf x = STRBUF_INIT(SIGNATURE_MAX), y = STRBUF_INIT(SIGNATURE_MAX);
	add_signature(&x, a);
	add_signature(&y, b);
	return strcmp(strbuf_str(&x), strbuf_str(&y)) == 0;
}

/* The lists are in the same order but for what came and went, so one look at the next one is nearly always enough. */
static const struct json *find_from(const struct json *list, const char *name, size_t *at)
{
	size_t n = json_arr_len(list);
	for (size_t i = 0; i < n; i++) {
		const struct json *d = json_arr_at(list, (*at + i) % n);
		if (strcmp(text_at(d, "name"), name) == 0) {
			*at = (*at + i + 1) % n;
			return d;
		}
	}
	return NULL;
}

void watch_changes(const struct json *before, const struct json *now, struct words *ret)
{
	const struct json *old = json_get(before, "domains"), *list = json_get(now, "domains");
	size_t at = 0;
	for (size_t i = 0; before && i < json_arr_len(list); i++) {
		const struct json *d = json_arr_at(list, i), *was = find_from(old, text_at(d, "name"), &at);
		if (*text_at(d, "name") && (!was || !is_same(was, d)))
			words_add(ret, text_at(d, "name"));
	}
}

/* --- the terminal --- */

static volatile sig_atomic_t ended, resized;

static void on_signal(int signum)
{
	if (signum == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

struct watch {
	const struct watch_options *o;
	bool terminal;
	struct termios before;
	bool has_keys; /* standard input is a terminal, and before is what it was */
	int fd;	       /* to the daemon; -1: none */
	struct json *last;
	struct words marked;
	int64_t marked_ms;
	bool seen;     /* a first answer came */
	sigset_t mask; /* while we wait */
};

/* They come in while we wait, and only then: one that came just before would be slept over. */
static void catch_signals(sigset_t *ret_mask)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t all;
	(void)sigemptyset(&sa.sa_mask);
	(void)sigemptyset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)sigaction(signals[i], &sa, NULL);
		(void)sigaddset(&all, signals[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &all, ret_mask);
}

static void put(const char *s, size_t len)
{
	if (fs_write_all(STDOUT_FILENO, s, len) < 0)
		ended = 1; /* nobody looks any more */
}

static void screen_begin(struct watch *w)
{
	struct termios raw;
	w->has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &w->before) == 0;
	if (w->has_keys) {
		raw = w->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stop would leave the terminal like this */
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	put(SCREEN_BEGIN, strlen(SCREEN_BEGIN));
}

static void screen_end(const struct watch *w)
{
	put(SCREEN_END, strlen(SCREEN_END));
	if (w->has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &w->before);
}

/* --- one look --- */

static struct render_options look_of(const struct watch *w)
{
	struct render_options o = { .now = clock_now(), .colour = w->o->colour };
	struct winsize size = { 0 };
	if (!w->terminal)
		return o;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
		o.columns = size.ws_col;
		/* Our own line, an empty one, headings and counts; the last line stays free, or the screen would scroll. */
		o.lines = size.ws_row > 8 ? size.ws_row - 5u : 3u;
	}
	o.changed = &w->marked;
	return o;
}

/* Each line of text cleared to its end, so that nothing of the picture before shows through. */
static void draw(const char *text)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(PICTURE_MAX);
	strbuf_adds(&sb, HOME);
	while (*text) {
		size_t n = strcspn(text, "\n");
		strbuf_add(&sb, text, n);
		strbuf_adds(&sb, LINE_END);
		text += n + (text[n] == '\n');
	}
	strbuf_adds(&sb, REST_CLEAR);
	put(strbuf_str(&sb), sb.len);
}

static void add_title(const struct watch *w, const struct render_options *o, struct strbuf *sb)
{
	char at[TIMEFMT_MAX];
	strbuf_addf(sb, "%s  every %lld s, q quits\n\n", timefmt_rfc3339(o->now, at),
		    (long long)w->o->interval);
}

static const struct json *domain_of(const struct json *answer, const char *name)
{
	size_t at = 0;
	return find_from(json_get(answer, "domains"), name, &at);
}

/* "2026-11-21T08:00:00Z www.example.jp: pending -> valid" and what is wrong. */
static void append_changes(const struct watch *w, const struct json *now, const struct words *changed)
{
	char at[TIMEFMT_MAX];
	for (size_t i = 0; i < changed->n; i++) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(PICTURE_MAX);
		const char *name = changed->list[i];
		const struct json *d = domain_of(now, name), *was = domain_of(w->last, name);
		strbuf_addf(&sb, "%s ", timefmt_rfc3339(clock_now(), at));
		if (was && strcmp(text_at(was, "state"), text_at(d, "state")) != 0)
			strbuf_addf(&sb, "(was %s) ", text_at(was, "state"));
		render_status_line(d, clock_now(), &sb);
		put(strbuf_str(&sb), sb.len);
	}
}

static void show(struct watch *w, struct json *now)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(PICTURE_MAX);
	_cleanup_words_ struct words changed = WORDS_INIT;
	struct render_options o;
	watch_changes(w->last, now, &changed);
	if (w->terminal) {
		if (changed.n > 0 || clock_mono_ms() - w->marked_ms > MARK_MS) {
			words_done(&w->marked);
			w->marked = changed;
			changed = (struct words)WORDS_INIT;
			w->marked_ms = clock_mono_ms();
		}
		o = look_of(w);
		add_title(w, &o, &sb);
		render_status(now, &o, &sb);
		draw(strbuf_str(&sb));
	} else if (w->o->json) {
		json_write(now, 0, &sb);
		strbuf_addc(&sb, '\n');
		put(strbuf_str(&sb), sb.len);
	} else if (!w->last) {
		o = look_of(w);
		render_status(now, &o, &sb);
		put(strbuf_str(&sb), sb.len);
	} else {
		append_changes(w, now, &changed);
	}
	json_free(w->last);
	w->last = now;
}

/* The daemon is away (a restart, perhaps): said, and asked again next time. */
static void show_absence(struct watch *w, const char *text)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(PICTURE_MAX);
	struct render_options o = look_of(w);
	if (w->terminal) {
		add_title(w, &o, &sb);
		strbuf_addf(&sb, "%s\n", text);
		draw(strbuf_str(&sb));
	} else {
		fprintf(stderr, "dvcertctl: %s\n", text);
	}
}

/* 0, or an exit code with its reason. */
static int ask(struct watch *w, struct json **ret, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_(json_freep) struct json *answer = NULL;
	size_t len = 0;
	bool ok = false;
	const char *refusal = NULL;
	int64_t code = 1;
	int r = w->fd >= 0 ? 0 : client_open(w->o->socket, ANSWER_MS, &w->fd, reterr);
	if (r == 0)
		r = client_ask(w->fd, w->o->socket, w->o->request, ANSWER_MS, &text, &len, reterr);
	if (r < 0) {
		closep(&w->fd);
		w->fd = -1;
		return client_exit_code(r);
	}
	if (json_parse(text, len, CLIENT_ANSWER_MAX, &answer, reterr) < 0)
		return 1;
	if (json_get_bool(answer, "ok", &ok) == 1 && ok) {
		*ret = TAKE_PTR(answer);
		return 0;
	}
	if (json_get_str(answer, "error", &refusal) != 1)
		refusal = "refused without a reason";
	(void)err_set(reterr, -EBADMSG, "%s", refusal);
	return json_get_i64(answer, "code", &code) == 1 && code > 0 && code < 126 ? (int)code : 1;
}

/* --- the loop --- */

/* Until it is time to look again, a key, a signal. */
static void wait_a_while(const struct watch *w)
{
	int64_t until = clock_mono_ms() + w->o->interval * 1000;
	resized = 0;
	while (!ended && !resized) {
		struct pollfd p = { .fd = w->has_keys ? STDIN_FILENO : -1, .events = POLLIN };
		int64_t left = until - clock_mono_ms();
		const struct timespec ts = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
		char key = 0;
		if (left <= 0)
			return;
		if (ppoll(&p, 1, &ts, &w->mask) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q')
			ended = 1;
		if (key == ' ' || key == '\n')
			return;
	}
}

static int look_once(struct watch *w)
{
	struct json *answer = NULL;
	struct err e = ERR_INIT;
	int code = ask(w, &answer, &e);
	if (code == 0) {
		w->seen = true;
		show(w, answer);
		return 0;
	}
	if (!w->seen || (code != 69 && code != 75)) {
		ended = 1;
		if (w->terminal)
			screen_end(w);
		w->terminal = false;
		fprintf(stderr, "dvcertctl: %s\n", e.text);
		return code;
	}
	show_absence(w, e.text);
	return 0;
}

int watch_run(const struct watch_options *o)
{
	struct watch w = { .o = o, .fd = -1, .terminal = isatty(STDOUT_FILENO) && !o->json };
	int code = 0;
	ended = 0;
	catch_signals(&w.mask);
	if (w.terminal)
		screen_begin(&w);
	while (!ended) {
		code = look_once(&w);
		if (!ended)
			wait_a_while(&w);
	}
	if (w.terminal)
		screen_end(&w);
	closep(&w.fd);
	json_free(w.last);
	words_done(&w.marked);
	return code;
}
