/* SPDX-License-Identifier: Apache-2.0 */
/* The `files` target. Owner and group are looked up before anything is written, so that a slip of the pen changes nothing. */
#include "daemon/helper/verbs.h"

#include "common/mem.h"
#include "common/str.h"
#include "daemon/helper/copy.h"
#include "daemon/helper/pair.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define ACCOUNT_SPACE 65536 /* a group may have many members */

struct owners {
	uid_t uid;
	gid_t gid;
};

/* A number that is an account name goes by its name, as in chown(1). -EINVAL: neither. (uid_t)-1 means "leave alone" to the kernel. */
static int as_number(const char *text, uint32_t *ret)
{
	uint64_t n = 0;

	if (str_parse_u64(text, &n) < 0 || n >= UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static int find_user(const char *name, uid_t *ret, struct err *reterr)
{
	_cleanup_free_ char *space = xmalloc(ACCOUNT_SPACE);
	struct passwd pw, *found = NULL;
	int r = getpwnam_r(name, &pw, space, ACCOUNT_SPACE, &found);

	if (found) {
		*ret = pw.pw_uid;
		return 0;
	}
	if (as_number(name, ret) == 0)
		return 0;
	if (r != 0 && r != ENOENT && r != ESRCH)
		return err_set_errno(reterr, -r, "files.owner: cannot look up the user \"%s\"", name);
	return err_set(reterr, -ENOENT,
		       "files.owner: there is no user \"%s\" here: make it (useradd -r), or correct the name",
		       name);
}

static int find_group(const char *name, gid_t *ret, struct err *reterr)
{
	_cleanup_free_ char *space = xmalloc(ACCOUNT_SPACE);
	struct group gr, *found = NULL;
	int r = getgrnam_r(name, &gr, space, ACCOUNT_SPACE, &found);

	if (found) {
		*ret = gr.gr_gid;
		return 0;
	}
	if (as_number(name, ret) == 0)
		return 0;
	if (r != 0 && r != ENOENT && r != ESRCH)
		return err_set_errno(reterr, -r, "files.group: cannot look up the group \"%s\"", name);
	return err_set(
		reterr, -ENOENT,
		"files.group: there is no group \"%s\" here: make it (groupadd -r), or correct the name",
		name);
}

static int find_owners(const struct cfg_files_target *t, struct owners *ret, struct err *reterr)
{
	int r = 0;

	*ret = (struct owners){ geteuid(), getegid() };
	if (t->owner)
		r = find_user(t->owner, &ret->uid, reterr);
	if (r == 0 && t->group)
		r = find_group(t->group, &ret->gid, reterr);
	return r;
}

/* --- the live key ------------------------------------------------------------------------------------ */

static int explain_key(struct err *reterr, int r, const char *what)
{
	bool may = geteuid() == 0;

	return err_set(reterr, r, "cannot change the %s of the live key: %s%s", what, strerror(-r),
		       may ? "" : "; " HELPER_NEEDED);
}

/* (uid_t)-1 and (gid_t)-1: leave alone. */
static int give_key(int fd, mode_t mode, uid_t uid, gid_t gid, struct err *reterr)
{
	if (uid == (uid_t)-1 && gid == (gid_t)-1)
		return 0;
	/* What the old group may, the new one gets only when all is right. */
	if ((mode & 07077) != 0 && fchmod(fd, mode & 0700) < 0)
		return explain_key(reterr, -errno, "mode");
	return fchown(fd, uid, gid) < 0 ? explain_key(reterr, -errno, "group") : 0;
}

/* 1: changed; 0: it was so. Without `group` the group stays. */
static int set_live_key(const struct helper *h, const struct cfg_files_target *t, const struct owners *o,
			int fd, struct err *reterr)
{
	struct stat st;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	int r;

	if (fstat(fd, &st) < 0)
		return explain_key(reterr, -errno, "mode");
	if (h->peer == 0 && t->owner && st.st_uid != o->uid)
		uid = o->uid;
	if (t->group && st.st_gid != o->gid)
		gid = o->gid;
	if (uid == (uid_t)-1 && gid == (gid_t)-1 && (st.st_mode & 07777) == t->mode)
		return 0;
	r = give_key(fd, st.st_mode, uid, gid, reterr);
	if (r < 0)
		return r;
	return fchmod(fd, t->mode) < 0 ? explain_key(reterr, -errno, "mode") : 1;
}

/* --- copies ------------------------------------------------------------------------------------------- */

static bool holds_key(enum cfg_copy c)
{
	return c == CFG_COPY_BUNDLE || c == CFG_COPY_KEY;
}

static const char *text_of(const struct pair *p, enum cfg_copy c, const char *bundle)
{
	switch (c) {
	case CFG_COPY_BUNDLE: return bundle;
	case CFG_COPY_CERT: return p->cert;
	case CFG_COPY_CHAIN: return p->chain;
	case CFG_COPY_FULLCHAIN: return p->fullchain;
	case CFG_COPY_KEY: return p->key;
	case CFG_COPY_NR: break;
	}
	return "";
}

struct tally {
	unsigned written;
	unsigned failed;
};

/* r: what one step came to, with e. The first failure is kept. */
static void count(struct tally *t, int r, const struct err *e, struct err *message)
{
	if (r > 0)
		t->written++;
	if (r >= 0)
		return;
	if (t->failed++ == 0)
		*message = *e;
}

static void do_all(const struct helper *h, const struct cfg_files_target *t, const struct owners *o,
		   const struct pair *p, struct tally *tally, struct err *message)
{
	_cleanup_wipe_ char *bundle = xasprintf("%s%s", p->fullchain, p->key);
	struct err e = ERR_INIT;
	int r;

	for (enum cfg_copy c = 0; c < CFG_COPY_NR; c++) {
		struct copy copy = {
			.path = t->paths[c],
			.text = text_of(p, c, bundle),
			.uid = o->uid,
			.gid = o->gid,
			.mode = t->mode | (holds_key(c) ? 0 : 0444),
		};

		if (copy.path) {
			r = copy_write(&copy, &e);
			count(tally, r, &e, message);
		}
	}
	r = set_live_key(h, t, o, p->key_fd, &e);
	count(tally, r, &e, message);
	if (tally->failed > 1) {
		_cleanup_free_ char *first = xstrdup(message->text);

		(void)err_set(message, message->code, "%.340s (and %u more)", first, tally->failed - 1);
	}
}

enum answer files_do(const struct helper *h, const struct cfg_files_target *t, const char *name,
		     unsigned generation, unsigned *ret_written, struct err *message)
{
	_cleanup_(pair_done) struct pair p = { .key_fd = -1 };
	struct tally tally = { 0 };
	struct owners o;
	uid_t owners[] = { h->state_owner, 0, h->state_owner };

	*ret_written = 0;
	if (find_owners(t, &o, message) < 0)
		return ANSWER_FILES;
	if (h->peer == 0) /* an earlier run of ours gave the live key to him */
		owners[2] = o.uid;
	if (pair_read(h->state_fd, name, generation, owners, ARRAY_SIZE(owners), &p, message) < 0)
		return ANSWER_FILES;
	do_all(h, t, &o, &p, &tally, message);
	*ret_written = tally.written;
	return tally.failed > 0 ? ANSWER_FILES : ANSWER_OK;
}
