/* SPDX-License-Identifier: Apache-2.0 */
/* Judges of what stands in DNS and of what the CA revoked. */
#include <string.h>
#include <strings.h>

#include "tests/sim/ca.h"
#include "tests/sim/judge_priv.h"
#include "tests/sim/plan.h"
#include "tests/sim/zone.h"

/* From a revocation to the new certificate: a day until it is asked about, the pauses after failures, the look into DNS and mail, and what
 * max_orders_per_day makes wait when the orders were revoked too. Hours in which the world lets nobody go on do not count. */
#define REPLACED_HOURS 120

/* --- records in DNS --- */

static const struct record_proof *proof_of(const struct record *r, const char *name, const char *value)
{
	for (uint32_t i = 0; r && i < r->n_proofs; i++) {
		const struct record_proof *p = &r->proofs[i];

		if (p->place != PROOF_WEBROOT && strcasecmp(p->name, name) == 0 &&
		    strcmp(p->value, value) == 0)
			return p;
	}
	return NULL;
}

/* Who has it on his list, or NULL. */
static const struct record *keeper_of(const char *name, const char *value)
{
	for (unsigned i = 0; i < n_actors; i++) {
		const struct record *r = judge_record(actors[i].name);

		if (proof_of(r, name, value))
			return r;
	}
	return NULL;
}

void judge_proof_is_recorded(const char *name, const char *value)
{
	if (!keeper_of(name, value))
		bad("%s is put up in DNS, and no record on disk says so", name);
}

static void is_known(const char *name, const char *value)
{
	if (!keeper_of(name, value))
		bad("%s is left in DNS, and no record knows of it", name);
}

static void is_needed(const char *name, const char *value)
{
	const struct record *r = keeper_of(name, value);

	if (r && !r->job)
		bad("%s is left in DNS", name);
}

void judge_dns(bool done)
{
	zone_each_of_ours(done ? is_needed : is_known);
}

/* --- revoked certificates --- */

static bool is_revoked(const struct actor *a)
{
	const char *serial = judge_serial(a);

	return serial[0] && ca_serial_revoked(serial);
}

void judge_revoked(void)
{
	static struct {
		int64_t at;
		unsigned hours;
	} since[PLAN_DOMAINS_MAX];
	unsigned more = n_actors * 24 / scenario_max_orders();

	for (unsigned i = 0; i < n_actors; i++) {
		const struct actor *a = &actors[i];

		if (since[i].at != a->revoked_at || !is_revoked(a)) {
			since[i].at = a->revoked_at;
			since[i].hours = 0;
			continue;
		}
		since[i].hours += a->present && a->person_until < world_wall() && scenario_is_fair(a);
		if (a->revoked_at && since[i].hours > REPLACED_HOURS + more)
			bad("the certificate of %s was revoked %lld hours ago and still serves", a->name,
			    (long long)((world_wall() - a->revoked_at) / 3600));
	}
}

void judge_none_is_revoked(void)
{
	for (unsigned i = 0; i < n_actors; i++)
		if (actors[i].present && actors[i].revoked_at &&
		    world_wall() - actors[i].revoked_at > 8 * DAY && is_revoked(&actors[i]))
			bad("the certificate of %s is revoked at the end", actors[i].name);
}
