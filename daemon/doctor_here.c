/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen on this machine alone. All that may block runs in the pool; webroots and copies are only asked whether they could be
 * written (access), so a quota or a full disk shows at the next write only. */
#include "daemon/doctor.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/timefmt.h"
#include "config/load.h"
#include "daemon/crashes.h"
#include "daemon/dcv/webroot.h"
#include "daemon/deploy/assist.h"
#include "daemon/io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Where systemd looks for units (systemd.unit(5)). */
static const char *const UNIT_DIRS[] = { "/etc/systemd/system",		  "/run/systemd/system",
					 "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
					 "/lib/systemd/system",		  "/run/systemd/generator",
					 "/run/systemd/generator.late",	  "/run/systemd/generator.early" };

/* --- secrets --- */

/* With the snapshot that counts: is what is on disk still that? */
static void compare_secrets(struct doctor_job *j, const struct config *disk)
{
	const struct config *now = j->config;
	const char *remedy = "dvcertctl reload";

	if (!secret_equal(disk->certcentral.api_key, now->certcentral.api_key))
		doctor_note(&j->note, DOCTOR_WARNING, remedy, "the API key on disk is not the one in use");
	for (size_t i = 0; j->spec && i < j->spec->n_deploy; i++) {
		const struct cfg_deploy *mine = &j->spec->deploy[i];
		const struct cfg_domain *other = config_find(disk, j->spec->name);

		for (size_t o = 0; other && o < other->n_deploy; o++) {
			const struct cfg_deploy *theirs = &other->deploy[o];

			if (mine->type == CFG_DEPLOY_SCUTUM && theirs->type == CFG_DEPLOY_SCUTUM &&
			    strcmp(mine->target, theirs->target) == 0 &&
			    !secret_equal(mine->scutum.api_key, theirs->scutum.api_key))
				doctor_note(&j->note, DOCTOR_WARNING, remedy,
					    "the key of %s on disk is not the one in use", mine->target);
		}
	}
}

static void secrets_run(struct doctor_job *j)
{
	struct config_report report = { 0 }, without = { 0 };
	struct config *disk = NULL, *other = NULL;

	if (config_load(j->config_file, &disk, &report) == 0)
		compare_secrets(j, disk);
	else if (config_load_without_secrets(j->config_file, &other, &without) < 0)
		doctor_note(&j->note, DOCTOR_SKIPPED, NULL,
			    "the configuration on disk is wrong; what was loaded before stays in use");
	else
		doctor_note(&j->note, DOCTOR_BROKEN, "mend the file, then dvcertctl reload", "%s",
			    report.problems[0].text);
	doctor_note(&j->note, DOCTOR_OK, NULL, "all can be read, by nobody else, and are those in use");
	config_report_done(&report);
	config_report_done(&without);
	config_unref(disk);
	config_unref(other);
}

void doctor_secrets(struct doctor *k)
{
	doctor_in_pool(k, secrets_run);
}

/* --- record --- */

void doctor_record(struct doctor *k)
{
	const struct domain *d = doctor_domain(k);
	const struct record *r = d->rec;
	const char *message = r->error.message ? r->error.message : "";
	char show[DOCTOR_TEXT_MAX], at[TIMEFMT_MAX];

	(void)snprintf(show, sizeof(show), "dvcertctl show %s; dvcertctl(1), FAILED DOMAINS", r->name);
	if (r->frozen)
		doctor_say(k, DOCTOR_BROKEN, show, "its state file cannot be used: %s", message);
	else if (crashes_is_aside(r))
		doctor_say(k, DOCTOR_BROKEN, "report it, then dvcertctl renew goes on with it", "%s",
			   message);
	else if (d->flight && d->flight->save_error)
		doctor_say(k, DOCTOR_BROKEN, "make room, or mend the permissions of the state folder",
			   "it cannot be written: %s", d->flight->save_error);
	else if (r->error.code) {
		k->symptom =
			domain_state(d) != STATE_PENDING; /* that waits for a person's mail or approval */
		doctor_say(k, DOCTOR_WARNING, show, "%s since %s: %s: %s",
			   r->held ? "failed, held for a person" : "an error",
			   timefmt_rfc3339(r->error.at, at), r->error.code, message);
	} else if (r->job)
		doctor_say(k, DOCTOR_OK, NULL, "an issuance is under way: %s", job_phase_name(r->job->phase));
	else
		doctor_say(k, DOCTOR_OK, NULL, "%s, no error", domain_state_name(domain_state(d)));
}

/* --- webroot --- */

/* One step down, following nothing. 1: there, *fd is open; 0: it is not there; else negative errno. */
static int step_down(int *fd, const char *name)
{
	int next = openat(*fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (next < 0)
		return errno == ENOENT ? 0 : -errno;
	(void)close(*fd);
	*fd = next;
	return 1;
}

static void webroot_run(struct doctor_job *j)
{
	static const char *const FOLDERS[] = { ".well-known", "pki-validation" };
	const char *webroot = j->spec->dcv.webroot;
	_cleanup_close_ int fd = open(webroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r = 1;

	if (fd < 0) {
		doctor_note(&j->note, DOCTOR_BROKEN, "make it, or correct dcv.webroot", "%s: %s", webroot,
			    strerror(errno));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(FOLDERS) && r == 1; i++)
		r = step_down(&fd, FOLDERS[i]);
	if (r < 0) {
		doctor_note(&j->note, DOCTOR_BROKEN,
			    "below a webroot no link is followed: make it a folder that dvcertd may enter",
			    "%s/.well-known/pki-validation: %s", webroot, strerror(-r));
		return;
	}
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		doctor_note(
			&j->note, DOCTOR_BROKEN,
			"install -d -o dvcertd the folder .well-known/pki-validation there; under systemd "
			"also BindPaths= (systemctl edit dvcertd)",
			"%s: this user may not write %s: %s", webroot,
			r == 1 ? "to .well-known/pki-validation" : "the folders that are missing",
			strerror(errno));
		return;
	}
	if (r == 1 && fstatat(fd, "fileauth.txt", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
		doctor_note(&j->note, DOCTOR_BROKEN, "move it away", "%s/%s is no plain file", webroot,
			    WEBROOT_FILE);
	doctor_note(&j->note, DOCTOR_OK, NULL, "%s can be written", webroot);
}

void doctor_webroot(struct doctor *k)
{
	if (!k->spec->dcv.webroot)
		doctor_say(k, DOCTOR_SKIPPED, NULL, "the proof is not in a webroot");
	else
		doctor_in_pool(k, webroot_run);
}

/* --- files --- */

static void look_at_mode(struct doctor_job *j)
{
	_cleanup_free_ char *path = xasprintf("%s/%04u/privkey.pem", j->spec->name, j->generation);
	struct stat st;

	if (fstatat(j->dirs.archive_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		doctor_note(&j->note, DOCTOR_BROKEN, NULL, "archive/%s: %s", path, strerror(errno));
	else if (st.st_mode & S_IRWXO)
		doctor_note(&j->note, DOCTOR_BROKEN, "chmod o= the file, and ask yourself who has read it",
			    "archive/%s has mode %04o: others may read the key", path,
			    (unsigned)(st.st_mode & 07777));
}

static void look_at_dates(struct doctor_job *j, const struct cert_info *info)
{
	int64_t now = clock_now();
	char at[TIMEFMT_MAX];

	if (info->not_after <= now)
		doctor_note(&j->note, DOCTOR_BROKEN, NULL, "the certificate expired at %s",
			    timefmt_rfc3339(info->not_after, at));
	else if (info->not_before > now)
		doctor_note(&j->note, DOCTOR_BROKEN, "is the clock right?",
			    "the certificate begins at %s only", timefmt_rfc3339(info->not_before, at));
}

static void look_at_pair(struct doctor_job *j, const struct generation_files *f)
{
	_cleanup_(key_freep) struct key *key = NULL;
	struct cert_info info = { 0 };
	struct err e = ERR_INIT;
	char at[TIMEFMT_MAX];

	if (key_from_pem(f->key, strlen(f->key), &key, &e) < 0 ||
	    cert_read(f->cert, strlen(f->cert), &info, &e) < 0) {
		doctor_note(&j->note, DOCTOR_BROKEN, NULL, "generation %04u: %s", j->generation, e.text);
		return;
	}
	if (!cert_belongs(f->cert, strlen(f->cert), key))
		doctor_note(&j->note, DOCTOR_BROKEN, NULL,
			    "generation %04u: privkey.pem does not belong to cert.pem", j->generation);
	if (j->serial && strcmp(info.serial, j->serial) != 0)
		doctor_note(&j->note, DOCTOR_BROKEN, NULL,
			    "generation %04u holds serial %s, installed was %s", j->generation, info.serial,
			    j->serial);
	look_at_dates(j, &info);
	look_at_mode(j);
	doctor_note(&j->note, DOCTOR_OK, NULL, "generation %04u is whole, until %s", j->generation,
		    timefmt_rfc3339(info.not_after, at));
	cert_info_done(&info);
}

static void files_run(struct doctor_job *j)
{
	struct generation_files f = { 0 };
	struct err e = ERR_INIT;
	unsigned live = 0;

	if (generation_read(&j->dirs, j->spec->name, j->generation, &f, &e) < 0) {
		doctor_note(&j->note, DOCTOR_BROKEN,
			    "restore it from a backup; what can be had again dvcertd brings back by itself",
			    "generation %04u: %s", j->generation, e.text);
		generation_files_done(&f);
		return;
	}
	j->chain = xstrdup(f.fullchain);
	if (generation_live(&j->dirs, j->spec->name, &live, &e) < 0)
		doctor_note(&j->note, DOCTOR_BROKEN, NULL, "%s", e.text);
	else if (live != j->generation)
		doctor_note(&j->note, DOCTOR_BROKEN, "dvcertctl rollback, or point the link there again",
			    "live/%s leads to generation %04u, not to %04u", j->spec->name, live,
			    j->generation);
	look_at_pair(j, &f);
	generation_files_done(&f);
}

void doctor_files(struct doctor *k)
{
	if (doctor_domain(k)->rec->cert.generation == 0)
		doctor_say(k, DOCTOR_SKIPPED, NULL, "nothing is installed yet");
	else
		doctor_in_pool(k, files_run);
}

/* --- targets --- */

static void look_at_program(struct doctor_job *j, const char *target, const char *path)
{
	int r = child_check(path);

	if (r == -EPERM)
		doctor_note(&j->note, DOCTOR_BROKEN, "chown root and chmod go-w it",
			    "%s: %s could be changed by others than root", target, path);
	else if (r < 0)
		doctor_note(&j->note, DOCTOR_BROKEN, "install it there, or correct the configuration",
			    "%s: %s: %s", target, path,
			    r == -EACCES ? "not an executable file" : strerror(-r));
}

/* A template's instance has the template's file. */
static bool unit_exists(const char *unit)
{
	const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');
	_cleanup_free_ char *base = at && dot ? xasprintf("%.*s%s", (int)(at - unit + 1), unit, dot) : NULL;
	bool any_dir = false;

	for (size_t i = 0; i < ARRAY_SIZE(UNIT_DIRS); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", UNIT_DIRS[i], unit);
		_cleanup_free_ char *other = base ? xasprintf("%s/%s", UNIT_DIRS[i], base) : NULL;
		struct stat st;

		any_dir = any_dir || access(UNIT_DIRS[i], F_OK) == 0;
		if (lstat(path, &st) == 0 || (other && lstat(other, &st) == 0))
			return true;
	}
	return !any_dir;
}

static void look_at_copies(struct doctor_job *j, const struct cfg_deploy *t)
{
	for (size_t i = 0; i < CFG_COPY_NR; i++) {
		const char *path = t->files.paths[i];
		_cleanup_free_ char *folder =
			path ? xstrndup(path, (size_t)(strrchr(path, '/') - path)) : NULL;
		struct stat st;

		if (!folder)
			continue;
		if (stat(*folder ? folder : "/", &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
			doctor_note(&j->note, DOCTOR_BROKEN, "make it, or correct the path",
				    "%s: no folder %s", t->target, folder);
	}
}

static void look_at_helper(struct doctor_job *j, const char *target)
{
	_cleanup_free_ char *program = assist_program();
	struct stat st;

	if (stat(j->config->helper_socket, &st) == 0 && S_ISSOCK(st.st_mode))
		return;
	if (child_check(program) < 0)
		doctor_note(&j->note, DOCTOR_BROKEN, "systemctl enable --now dvcertd-helper.socket",
			    "%s: dvcertd-helper is not there (neither %s nor %s)", target,
			    j->config->helper_socket, program);
	else if (geteuid() != 0)
		doctor_note(&j->note, DOCTOR_WARNING, "systemctl enable --now dvcertd-helper.socket",
			    "%s: without %s dvcertd can do only what its own user may", target,
			    j->config->helper_socket);
}

static void look_at_target(struct doctor_job *j, const struct cfg_deploy *t)
{
	switch (t->type) {
	case CFG_DEPLOY_FILES:
		look_at_copies(j, t);
		look_at_helper(j, t->target);
		break;
	case CFG_DEPLOY_RELOAD:
		if (!unit_exists(t->reload.unit))
			doctor_note(&j->note, DOCTOR_BROKEN,
				    "install that server, or correct the name of the unit",
				    "%s: systemd has no such unit", t->target);
		if (t->reload.test)
			look_at_program(j, t->target, t->reload.test[0]);
		look_at_helper(j, t->target);
		break;
	case CFG_DEPLOY_EXEC: look_at_program(j, t->target, t->exec.command[0]); break;
	case CFG_DEPLOY_VERIFY:
	case CFG_DEPLOY_SCUTUM: /* steps of their own */
	case CFG_DEPLOY_NR: break;
	}
}

static void targets_run(struct doctor_job *j)
{
	for (uint32_t i = 0; i < j->spec->n_deploy; i++)
		look_at_target(j, &j->spec->deploy[i]);
	if (j->failure)
		doctor_note(&j->note, DOCTOR_BROKEN, "mend it, then dvcertctl deploy NAME", "%s", j->failure);
	doctor_note(&j->note, DOCTOR_OK, NULL, "helper, units, programs and folders of %u target%s are there",
		    j->spec->n_deploy, j->spec->n_deploy == 1 ? "" : "s");
}

/* What failed and is not explained by a look. */
static const struct record_deploy *failing(const struct record *r)
{
	for (uint32_t i = 0; i < r->n_deploys; i++) {
		enum cfg_deploy_type t = record_deploy_type(r->deploys[i].target);

		if (r->deploys[i].state != DEPLOY_DONE && r->deploys[i].code && t != CFG_DEPLOY_VERIFY &&
		    t != CFG_DEPLOY_SCUTUM)
			return &r->deploys[i];
	}
	return NULL;
}

void doctor_targets(struct doctor *k)
{
	const struct record_deploy *bad = failing(doctor_domain(k)->rec);

	if (k->spec->n_deploy == 0) {
		doctor_say(k, DOCTOR_SKIPPED, NULL, "none are configured");
		return;
	}
	if (bad)
		k->text = xasprintf("%s: %s: %s", bad->target, bad->code, bad->message ? bad->message : "");
	doctor_in_pool(k, targets_run);
}
