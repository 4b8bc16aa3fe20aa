/* SPDX-License-Identifier: Apache-2.0 */
/* `dvcertctl budget`: what may still be spent, money and requests. */
#include "daemon/verbs.h"

#include "common/clock.h"
#include "common/mem.h"

struct post {
	int64_t at;
	const char *name;
};

struct posts {
	struct post *list;
	size_t n;
};

static void add_posts(struct posts *p, const struct record *r, int64_t now)
{
	for (uint32_t i = 0; i < r->n_paid; i++) {
		if (r->paid_at[i] <= now - BUDGET_SPAN)
			continue;
		p->list = xrealloc_array(p->list, p->n + 1, sizeof(*p->list));
		p->list[p->n++] = (struct post){ r->paid_at[i], r->name };
	}
}

static int post_compare(const void *pa, const void *pb)
{
	const struct post *a = pa, *b = pb;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Oldest first. Those of domains that are no longer managed count, but nobody knows their names any more. */
static struct json *orders_json(const struct app *a, int64_t now)
{
	struct json *list = json_new_arr();
	struct posts p = { 0 };
	const struct domain *d;

	for (size_t i = 0; i < a->n_domains; i++)
		add_posts(&p, a->domains[i]->rec, now);
	TAILQ_FOREACH(d, &a->leaving, leaving)
	{
		add_posts(&p, d->rec, now);
	}
	if (p.n > 0)
		qsort(p.list, p.n, sizeof(*p.list), post_compare);
	for (size_t i = 0; i < p.n; i++) {
		struct json *e = json_new_obj();

		json_set_str(e, "name", p.list[i].name);
		json_set_time(e, "at", p.list[i].at);
		json_add(list, e);
	}
	free(p.list);
	return list;
}

static struct json *rates_json(const struct app *a)
{
	struct json *list = json_new_arr();
	struct cc_rate rates[CFG_RATES_MAX];
	size_t n = cc_rates(a->cc, rates);

	for (size_t i = 0; i < n; i++) {
		struct json *e = json_new_obj();

		json_set_i64(e, "requests", rates[i].requests);
		json_set_i64(e, "per", rates[i].per);
		json_set_i64(e, "left", rates[i].left);
		json_add(list, e);
	}
	return list;
}

void verb_budget(struct control_request *rq, void *arg)
{
	struct app *a = arg;
	int64_t now = clock_now(), max = a->config->certcentral.max_orders_per_day;
	int64_t spent = budget_spent(a->budget, now);
	struct json *o = json_new_obj();

	json_set_i64(o, "max_orders_per_day", max);
	json_set_i64(o, "spent", spent);
	json_set_i64(o, "reserved", a->n_reserved);
	json_set_i64(o, "left", MAX(max - spent - a->n_reserved, (int64_t)0));
	json_set_time(o, "next_at", budget_next_at(a->budget, now, a->n_reserved));
	json_set(o, "rate_limits", rates_json(a));
	json_set_bool(o, "key_blocked", cc_is_blocked(a->cc));
	json_set(o, "orders", orders_json(a, now));
	control_answer(rq, o);
}
