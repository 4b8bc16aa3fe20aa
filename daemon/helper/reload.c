/* SPDX-License-Identifier: Apache-2.0 */
/* The `reload` target: a test of the server's configuration, because some servers stop at a reload with a wrong one, then the reload. */
#include "daemon/helper/verbs.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/helper/systemd.h"
#include "daemon/helper/trust.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define OUTPUT_MAX 4096
#define SAID_MAX   220 /* bytes of it in a message: its end says most */

static int check_program(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = trust_open(path, reterr);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		return err_set(reterr, -EACCES, "%s is not a program that can be executed", path);
	return 0;
}

/* The last words of a text, on one line. The caller frees. */
static char *last_words(const char *text)
{
	size_t len = strlen(text);
	char *said;

	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	said = xstrndup(text, len);
	for (char *c = said; *c; c++)
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' ';
	if (len > SAID_MAX) {
		const char *from = said + len - SAID_MAX;
		const char *blank = strchr(from, ' ');
		char *cut = xstrdup(blank ? blank + 1 : from);

		free(said);
		said = cut;
	}
	return said;
}

static int test_config(struct systemd *s, const struct cfg_reload_target *t, int64_t deadline_ms,
		       struct err *message)
{
	_cleanup_(strbuf_done) struct strbuf output = STRBUF_INIT(OUTPUT_MAX);
	_cleanup_free_ char *said = NULL;
	int r = check_program(t->test[0], message);

	if (r < 0) {
		err_prefix(message, "reload.test");
		return r;
	}
	r = systemd_run(s, t->test, deadline_ms, &output, message);
	if (r != -ECHILD && r != -ETIMEDOUT)
		return r;
	said = last_words(strbuf_str(&output));
	return err_set(message, r, "the test %.100s %s, so %s was not reloaded%s%s", t->test[0],
		       r == -ECHILD ? "failed" : "did not end in time", t->unit, said[0] ? ": " : "", said);
}

enum answer reload_do(const struct cfg_reload_target *t, struct err *message)
{
	int64_t deadline_ms = clock_mono_ms() + t->timeout * 1000;
	_cleanup_(systemd_closep) struct systemd *s = NULL;

	if (systemd_open(&s, message) < 0)
		return ANSWER_RELOAD;
	if (t->test && test_config(s, t, deadline_ms, message) < 0)
		return ANSWER_TEST;
	return systemd_reload(s, t->unit, deadline_ms, message) < 0 ? ANSWER_RELOAD : ANSWER_OK;
}
