/* SPDX-License-Identifier: Apache-2.0 */
/* dvcertd-helper: what the daemon has no privilege for, one request per process (docs/DEPLOYMENT.md, "Privilege"). Standard
 * input is a connection that systemd accepted, or a pipe from a daemon that runs us as its child.
 *
 * Trusts nobody but root: the request names a domain and one of its targets, and all else is read in root's configuration. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "config/load.h"
#include "daemon/helper/trust.h"
#include "daemon/helper/verbs.h"
#include "daemon/ops/journal.h"
#include "daemon/pki/key.h"

static const char USAGE[] =
	"usage: dvcertd-helper [-c FILE] [--state-dir DIR]\n"
	"\n"
	"Copies the files of one certificate, or reloads one unit, as dvcertd asks on standard input.\n"
	"It is started by dvcertd-helper.socket or by dvcertd, not by hand.\n"
	"\n"
	"  -c, --config FILE    configuration (default " CONFIG_DEFAULT_FILE ")\n"
	"      --state-dir DIR  where the daemon keeps its certificates, else as the configuration says\n"
	"      --version        print the version\n"
	"  -h, --help           this text\n";

#define READ_MS	  10000 /* a daemon that asks does so at once */
#define LOAD_S	  20	/* for reading a large configuration */
#define FILES_S	  25	/* the daemon waits a little longer than this */
#define JOBS_OVER 15	/* seconds beside the target's own timeout */

struct options {
	const char *file;
	const char *state_dir; /* NULL: as in the configuration */
};

struct session {
	struct options o;
	struct config *config;
	struct request rq;
	struct helper h;
	bool is_socket;
	unsigned written;
};

/* --- who asks, and what ------------------------------------------------------------------------------- */

static int find_peer(struct session *s, struct err *reterr)
{
	struct stat st;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fstat(STDIN_FILENO, &st) < 0)
		return err_set_errno(reterr, -errno, "standard input");
	s->is_socket = S_ISSOCK(st.st_mode);
	s->h.peer = geteuid();
	if (!s->is_socket)
		return 0;
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid == 0)
		return err_set(reterr, -EPERM, "standard input is no unix socket of a process here");
	s->h.peer = peer.uid;
	return 0;
}

/* Up to the newline; -EBADMSG when there is more, or none. */
static int read_line(char line[REQUEST_MAX + 1], size_t *ret_len, struct err *reterr)
{
	int64_t deadline_ms = clock_mono_ms() + READ_MS;
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
		char *end = memchr(line, '\n', len);
		ssize_t n;

		if (end && end + 1 == line + len) {
			*ret_len = len - 1;
			return 0;
		}
		if (end)
			return err_set(reterr, -EBADMSG, "the request: there is more than one line");
		if (len == REQUEST_MAX)
			return err_set(reterr, -EBADMSG, "the request: is longer than %u bytes", REQUEST_MAX);
		if (clock_mono_ms() >= deadline_ms)
			return err_set(reterr, -ETIMEDOUT, "the request: did not come in time");
		if (poll(&p, 1, 1000) <= 0)
			continue;
		n = read(STDIN_FILENO, line + len, REQUEST_MAX - len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return err_set(reterr, -EBADMSG, "the request: ended before its newline");
		len += (size_t)n;
	}
}

/* --- what root wants ---------------------------------------------------------------------------------- */

static int load(struct session *s, struct err *reterr)
{
	struct config_report report = { 0 };
	int r = trust_check_config(s->o.file, reterr);

	if (r < 0)
		return r;
	r = config_load_without_secrets(s->o.file, &s->config, &report);
	if (r < 0)
		(void)err_set(reterr, r, "%s has mistakes; look at dvcertd --check: %s", s->o.file,
			      report.n_problems > 0 ? report.problems[0].text : "");
	config_report_done(&report);
	return r;
}

/* How it is reached is no matter: whatever is found below must belong to the one who asks, and be a pair. */
static int open_state(struct session *s, struct err *reterr)
{
	const char *dir = s->o.state_dir ? s->o.state_dir : s->config->state_dir;
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	s->h.state_fd = fd;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(reterr, -errno, "state_dir %s", dir);
	if (s->h.peer != 0 && st.st_uid != s->h.peer)
		return err_set(reterr, -EPERM, "user %u asks, and is not the owner of state_dir %s",
			       (unsigned)s->h.peer, dir);
	s->h.state_owner = st.st_uid;
	return 0;
}

static const struct cfg_deploy *find_target(const struct session *s, struct err *reterr)
{
	const struct cfg_domain *d = config_find(s->config, s->rq.name);
	enum cfg_deploy_type type = s->rq.verb == REQUEST_FILES ? CFG_DEPLOY_FILES : CFG_DEPLOY_RELOAD;

	for (uint32_t i = 0; d && i < d->n_deploy; i++)
		if (d->deploy[i].type == type && strcmp(d->deploy[i].target, s->rq.target) == 0)
			return &d->deploy[i];
	(void)err_set(reterr, -ENOENT,
		      "%s has no %s %.100s any more: it was edited, and the daemon does not know yet; run "
		      "systemctl "
		      "reload dvcertd",
		      s->o.file, d ? "target" : "domain", d ? s->rq.target : s->rq.name);
	return NULL;
}

static enum answer work(struct session *s, struct err *message)
{
	const struct cfg_deploy *t = NULL;

	if (load(s, message) < 0 || open_state(s, message) < 0 || !(t = find_target(s, message)))
		return ANSWER_REFUSED;
	if (s->rq.verb == REQUEST_FILES) {
		(void)alarm(FILES_S);
		return files_do(&s->h, &t->files, s->rq.name, s->rq.generation, &s->written, message);
	}
	(void)alarm((unsigned)t->reload.timeout + JOBS_OVER);
	return reload_do(&t->reload, message);
}

static enum answer serve(struct session *s, struct err *message)
{
	char line[REQUEST_MAX + 1];
	size_t len = 0;

	if (find_peer(s, message) < 0 || read_line(line, &len, message) < 0 ||
	    request_parse(line, len, &s->rq, message) < 0)
		return ANSWER_REFUSED;
	return work(s, message);
}

/* --- the answer --------------------------------------------------------------------------------------- */

/* Only under systemd: a child's standard error is the daemon's to read, and it tells by itself. */
static void tell(const struct session *s, enum answer a, const struct err *message)
{
	static char identifier[] = "dvcertd-helper";
	const struct log_ctx ctx = { NULL, "DVCERT_NAME", s->rq.name };

	if (!s->is_socket)
		return;
	if (journal_is_stderr())
		log_set_sink(journal_sink, identifier);
	if (a != ANSWER_OK)
		log_event(LOG_LEVEL_WARNING, NULL, &ctx, "helper, for user %u, %s: %s", (unsigned)s->h.peer,
			  s->rq.target ? s->rq.target : "no target", message->text);
	else if (s->rq.verb == REQUEST_RELOAD)
		log_event(LOG_LEVEL_INFO, NULL, &ctx, "helper, %s: reloaded", s->rq.target);
	else
		log_event(LOG_LEVEL_INFO, NULL, &ctx, "helper, %s: %u files were written or changed",
			  s->rq.target, s->written);
}

/* 0, or EX_IOERR when nobody reads it. */
static int answer(enum answer a, const struct err *message)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(REQUEST_MAX);

	answer_write(a, message->text, &sb);
	return fs_write_all(STDOUT_FILENO, sb.data, sb.len) < 0 ? EX_IOERR : 0;
}

static int run(const struct options *o)
{
	struct session s = { .o = *o, .h = { .state_fd = -1 } };
	struct err message = ERR_INIT;
	enum answer a;
	int code;

	/* Keys are in our memory; a hung file system or bus must not keep us for ever. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	(void)alarm(LOAD_S);
	a = serve(&s, &message);
	tell(&s, a, &message);
	code = answer(a, &message);
	closep(&s.h.state_fd);
	request_done(&s.rq);
	config_unref(s.config);
	return code;
}

static int usage_error(void)
{
	fprintf(stderr, "try: dvcertd-helper --help\n");
	return EX_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option OPTIONS[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "state-dir", required_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .file = CONFIG_DEFAULT_FILE };
	int opt;

	pki_begin();
	while ((opt = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
		switch (opt) {
		case 'c': o.file = optarg; break;
		case 's': o.state_dir = optarg; break;
		case 'v': printf("dvcertd-helper %s\n", DVCERT_VERSION); return 0;
		case 'h': fputs(USAGE, stdout); return 0;
		default: return usage_error();
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dvcertd-helper: unexpected argument \"%s\"\n", argv[optind]);
		return usage_error();
	}
	return run(&o);
}
