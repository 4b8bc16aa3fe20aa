/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/judge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/pki/chain.h"
#include "daemon/pki/key.h"
#include "tests/sim/ca.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge_priv.h"
#include "tests/sim/life.h"
#include "tests/sim/plan.h"

#define FILE_CAP (1u << 20)
#define N_FILES	 4
/* A post that was counted may arrive so much later. */
#define LATE 900
/* A plan that lasts longer than this has room for a reissue: 1.5 renewal windows of the longest certificate, and what a wrong
 * clock may add. */
#define PLAN_LEFT (56 * DAY)

static char *read_file(const char *path)
{
	char *text = NULL;
	size_t len = 0;

	return fs_read_at(AT_FDCWD, path, FILE_CAP, &text, &len, NULL) == 0 ? text : NULL;
}

/* Reading, and above all understanding, takes most of the time of a simulation: what has not changed is not read again. */
struct stamp {
	ino_t ino;
	struct timespec at;
};

static struct {
	struct stamp record_stamp, pair_stamp[N_FILES];
	struct record *record;
	int64_t end; /* of the certificate behind the link */
	char serial[65];
} known[PLAN_DOMAINS_MAX];

/* Did the file change since? Takes the new stamp. */
static bool is_new(const char *path, struct stamp *known_stamp)
{
	struct stat st = { 0 };

	(void)stat(path, &st);
	if (st.st_ino == known_stamp->ino && st.st_ctim.tv_sec == known_stamp->at.tv_sec &&
	    st.st_ctim.tv_nsec == known_stamp->at.tv_nsec)
		return false;
	*known_stamp = (struct stamp){ st.st_ino, st.st_ctim };
	return true;
}

static size_t index_of(const char *name)
{
	const struct actor *a = scenario_actor(name);

	if (!a)
		world_violation("%s is in no configuration", name);
	return (size_t)(a - actors);
}

/* --- records --- */

const struct record *judge_record(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/state/%s.json", scenario_state_dir(), name);
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	size_t i = index_of(name);

	if (!is_new(path, &known[i].record_stamp))
		return known[i].record;
	record_free(known[i].record);
	known[i].record = NULL;
	text = read_file(path);
	if (text && record_decode(name, text, strlen(text), &known[i].record, &e) < 0)
		bad("state/%s.json cannot be read: %s", name, e.text);
	return known[i].record;
}

bool judge_is_held(const char *name)
{
	const struct record *r = judge_record(name);

	return r && r->held;
}

static bool names_order(const struct record *r, const struct ca_order *o)
{
	if (!r)
		return false;
	if (r->job && (r->job->order_id == o->id || r->job->of_order_id == o->id ||
		       (r->job->reference && strcmp(r->job->reference, o->reference) == 0)))
		return true;
	return r->cert.order_id == o->id;
}

void judge_show_records(void)
{
	for (unsigned i = 0; i < n_actors; i++) {
		const struct record *r = known[i].record;
		const struct record_job *j = r ? r->job : NULL;

		if (!r)
			continue;
		printf("  %s: webroot %u, generation %u%s, phase %s, order %lld, in %lld s, proofs %u: %s\n",
		       r->name, actors[i].webroot, r->cert.generation, r->held ? ", held" : "",
		       j ? job_phase_name(j->phase) : "-", j ? (long long)j->order_id : 0,
		       j && j->next_at ? (long long)(j->next_at - world_wall()) : 0, r->n_proofs,
		       r->error.message ? r->error.message : "");
	}
}

/* --- what is about to be sent --- */

void judge_request(const char *method, const char *url, const char *body, _unused_ size_t len)
{
	if (strcmp(method, "POST") != 0 || !str_has_prefix(url, CA_API_URL "/order/certificate/"))
		return;
	if (disk_sync_failed_ms() != 0 && world_now_ms() > disk_sync_failed_ms() + 30000)
		bad("an order leaves although fsync has failed");
	if (!body)
		bad("an order without a body");
}

/* --- keys --- */

static bool folder_has_key(const char *folder, const char *csr)
{
	_cleanup_free_ char *path = xasprintf("%s/privkey.pem", folder);
	_cleanup_free_ char *pem = read_file(path);
	_cleanup_(key_freep) struct key *k = NULL;

	return pem && key_from_pem(pem, strlen(pem), &k, NULL) == 0 && csr_belongs(csr, strlen(csr), k);
}

static bool has_key(const char *name, const char *csr)
{
	_cleanup_free_ char *archive = xasprintf("%s/archive/%s", scenario_state_dir(), name);
	DIR *d = opendir(archive);
	struct dirent *de;
	bool found = false;

	while (d && !found && (de = readdir(d))) {
		_cleanup_free_ char *folder = xasprintf("%s/%s", archive, de->d_name);

		found = de->d_name[0] != '.' && folder_has_key(folder, csr);
	}
	if (d)
		closedir(d);
	return found;
}

/* --- money --- */

/* A new order is needed when there is no other one that could give a certificate, or when its plan is ending. */
static void judge_need(const struct ca_order *new_order, size_t n)
{
	const struct actor *a = scenario_actor(new_order->name);

	if (!a)
		bad("an order for %s, which is in no configuration", new_order->name);
	for (size_t i = 0; i < n; i++) {
		struct ca_order o;

		ca_order(i, &o);
		if (strcmp(o.name, new_order->name) != 0)
			continue;
		if (o.pending)
			bad("order %lld for %s was bought while order %lld is %s", (long long)new_order->id,
			    o.name, (long long)o.id, o.status);
		if (o.usable && o.valid_till - world_wall() > PLAN_LEFT)
			bad("order %lld for %s was bought while the plan of order %lld lasts %lld days",
			    (long long)new_order->id, o.name, (long long)o.id,
			    (long long)((o.valid_till - world_wall()) / DAY));
	}
}

/* The limit of a day holds over crashes and restarts. (The budget counts by the daemon's own clock.) */
static void judge_budget(const struct ca_order *new_order, size_t n)
{
	unsigned today = 1;

	for (size_t i = 0; i < n; i++) {
		struct ca_order o;

		ca_order(i, &o);
		today += o.created_at > new_order->created_at - DAY + LATE;
	}
	if (today > scenario_max_orders() && plan.rate[TROUBLE_CLOCK] == 0)
		bad("%u orders in a day, and %u are the limit", today, scenario_max_orders());
}

void judge_ca_changed(size_t orders_before, size_t certificates_before)
{
	if (ca_n_orders() > orders_before) {
		struct ca_order o;

		ca_order(orders_before, &o);
		world_trace("ledger: order %lld for %s", (long long)o.id, o.name);
		judge_need(&o, orders_before);
		judge_budget(&o, orders_before);
	}
	if (ca_n_certificates() == certificates_before)
		return;
	for (size_t i = 0; i < ca_n_orders(); i++) {
		const struct record *r;
		struct ca_order o;

		ca_order(i, &o);
		if (!o.pending && !o.reissuing)
			continue;
		r = judge_record(o.name);
		if (!names_order(r, &o))
			bad("order %lld for %s is named by no record", (long long)o.id, o.name);
		if (!has_key(o.name, ca_csr(i)))
			bad("the key of order %lld for %s is not on disk", (long long)o.id, o.name);
	}
	if (ca_n_429() > 0)
		bad("the CA's rate window was broken");
}

/* --- what serves --- */

static char *live_file(const char *name, const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/live/%s/%s", scenario_state_dir(), name, file);

	return read_file(path);
}

static unsigned live_generation(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/live/%s", scenario_state_dir(), name);
	_cleanup_free_ char *target = NULL;
	const char *last;
	uint64_t n = 0;
	int r = fs_readlink(AT_FDCWD, path, &target);

	if (r == -ENOENT)
		return 0;
	last = r == 0 ? strrchr(target, '/') : NULL;
	if (!last || str_parse_u64(last + 1, &n) < 0 || n == 0)
		bad("live/%s is not a link of ours: %s", name, r == 0 ? target : strerror(-r));
	return (unsigned)n;
}

static const char *const FILES[N_FILES] = { "cert.pem", "chain.pem", "fullchain.pem", "privkey.pem" };

static bool pair_is_new(const char *name, struct stamp stamps[N_FILES])
{
	bool changed = false;

	for (size_t i = 0; i < N_FILES; i++) {
		_cleanup_free_ char *path = xasprintf("%s/live/%s/%s", scenario_state_dir(), name, FILES[i]);

		changed = is_new(path, &stamps[i]) || changed;
	}
	return changed;
}

/* What serves must be whole. Returns the end of the certificate. */
static int64_t judge_pair(const char *name, unsigned generation, char ret_serial[65])
{
	_cleanup_free_ char *cert = live_file(name, FILES[0]), *chain = live_file(name, FILES[1]);
	_cleanup_free_ char *full = live_file(name, FILES[2]), *key = live_file(name, FILES[3]), *both = NULL;
	_cleanup_(key_freep) struct key *k = NULL;
	struct cert_info info = { 0 };
	int64_t end;

	if (!cert || !chain || !full || !key)
		bad("live/%s is not complete (generation %u)", name, generation);
	both = xasprintf("%s%s", cert, chain);
	if (strcmp(both, full) != 0)
		bad("live/%s/fullchain.pem is not certificate and chain", name);
	if (key_from_pem(key, strlen(key), &k, NULL) < 0 || !cert_belongs(cert, strlen(cert), k))
		bad("live/%s: key and certificate do not belong together", name);
	if (cert_read(cert, strlen(cert), &info, NULL) < 0)
		bad("live/%s/cert.pem cannot be read", name);
	end = info.not_after;
	snprintf(ret_serial, 65, "%s", info.serial);
	cert_info_done(&info);
	return end;
}

const char *judge_serial(const struct actor *a)
{
	return known[a - actors].serial;
}

static void judge_live(struct actor *a, const struct record *r, bool after_cut)
{
	unsigned generation = live_generation(a->name);
	unsigned least = after_cut ? (r ? r->cert.generation : 0) : a->live;
	size_t i = (size_t)(a - actors);

	if (generation == 0)
		known[i].end = 0;
	else if (generation != a->live || pair_is_new(a->name, known[i].pair_stamp))
		known[i].end = judge_pair(a->name, generation, known[i].serial);
	if (generation < least)
		bad("live/%s went back from generation %u to %u", a->name, least, generation);
	a->live = generation;
}

static void judge_life(const struct actor *a)
{
	size_t i = (size_t)(a - actors);

	if (a->present && known[i].end != 0 && known[i].end <= world_wall() && a->person_until < world_wall())
		bad("the certificate of %s has expired", a->name);
}

/* --- the ledger against the disk --- */

static bool is_superseded(size_t i, const struct ca_order *o)
{
	for (size_t k = i + 1; k < ca_n_orders(); k++) {
		struct ca_order later;

		ca_order(k, &later);
		if (strcmp(later.name, o->name) == 0)
			return true;
	}
	return false;
}

/* The last good order of every name must be named by its record, and its key must be there. */
static void judge_orders(void)
{
	for (size_t i = 0; i < ca_n_orders(); i++) {
		const struct record *r;
		struct ca_order o;

		ca_order(i, &o);
		if ((!o.pending && !o.issued) || is_superseded(i, &o))
			continue;
		r = judge_record(o.name);
		if (!names_order(r, &o) && scenario_actor(o.name)->present)
			bad("order %lld for %s (%s) is named by no record", (long long)o.id, o.name,
			    o.status);
		if (o.pending && !has_key(o.name, ca_csr(i)))
			bad("the key of order %lld for %s is not on disk", (long long)o.id, o.name);
	}
}

static void judge_all(bool after_cut)
{
	static uint64_t seen;

	for (unsigned i = 0; i < n_actors; i++)
		judge_life(&actors[i]);
	if (!after_cut && !plan.calm && seen == disk_changes() + ca_n_certificates())
		return;
	seen = disk_changes() + ca_n_certificates();
	for (unsigned i = 0; i < n_actors; i++) {
		const struct record *r = judge_record(actors[i].name);

		judge_live(&actors[i], r, after_cut);
		if (r && r->held && actors[i].present && actors[i].person_until < world_wall())
			bad("%s is held without a reason: %s: %s", actors[i].name,
			    r->error.code ? r->error.code : "?", r->error.message ? r->error.message : "");
	}
	judge_orders();
	judge_dns(false);
	if (ca_n_429() > 0)
		bad("the CA's rate window was broken");
}

void judge_disk(void)
{
	judge_all(true);
}

void judge_now(void)
{
	judge_all(false);
	judge_revoked();
	if (disk_sync_failed_ms() != 0 && life_is_on() && world_now_ms() > disk_sync_failed_ms() + 120000)
		bad("the daemon goes on although fsync has failed");
}

/* --- the end --- */

static void judge_job(const struct record *r)
{
	const struct record_job *j = r->job;

	if (j && world_wall() - j->started_at > DAY)
		bad("%s is not settled: phase %s since %lld s, %s", r->name, job_phase_name(j->phase),
		    (long long)(world_wall() - j->started_at), r->error.message ? r->error.message : "");
	for (uint32_t i = 0; i < r->n_deploys; i++)
		if (r->deploys[i].state != DEPLOY_DONE && !j && world_wall() - r->deploys[i].at > DAY)
			bad("%s is not settled: %s is not served", r->name, r->deploys[i].target);
	if (r->n_proofs > 0 && !j)
		bad("%s is not settled: a proof stays recorded", r->name);
}

void judge_settled(void)
{
	bool busy = false;

	judge_all(false);
	for (unsigned i = 0; i < n_actors; i++) {
		const struct record *r = judge_record(actors[i].name);

		if (!actors[i].present)
			continue;
		if (!r)
			bad("%s has no record", actors[i].name);
		judge_job(r);
		busy = busy || r->job;
		if (r->held)
			bad("%s is held at the end: %s", actors[i].name,
			    r->error.message ? r->error.message : "");
		if (actors[i].live == 0)
			bad("%s has no certificate at the end", actors[i].name);
	}
	judge_dns(true);
	judge_none_is_revoked();
	for (unsigned i = 1; i <= n_actors && !busy; i++) {
		_cleanup_free_ char *root = xasprintf("%s/../web%u/.well-known/pki-validation/fileauth.txt",
						      scenario_state_dir(), i);

		if (access(root, F_OK) == 0)
			bad("a proof is left in webroot %u", i);
	}
}
