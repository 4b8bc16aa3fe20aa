/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/rates.h"

#include "common/mem.h"
#include "common/str.h"

#include <errno.h>

void rates_clear(struct rates *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->rule[i].at_ms);
	*r = (struct rates){ 0 };
}

int rates_add(struct rates *r, int64_t requests, int64_t per_s)
{
	if (r->n == RATES_MAX || requests < 1 || requests > RATES_REQUESTS_MAX || per_s < 1 ||
	    per_s > 366 * INT64_C(86400))
		return -EINVAL;
	r->rule[r->n++] = (struct rate){
		.requests = (size_t)requests,
		.per_ms = per_s * 1000,
		.at_ms = xcalloc((size_t)requests, sizeof(int64_t)),
	};
	return 0;
}

int rates_add_text(struct rates *r, const char *text)
{
	const char *slash = strchr(text, '/');
	if (!slash)
		return -EINVAL;
	_cleanup_free_ char *count = xstrndup(text, (size_t)(slash - text));
	uint64_t requests = 0;
	int64_t per_s = 0;
	if (str_parse_u64(count, &requests) < 0 || requests > RATES_REQUESTS_MAX ||
	    str_parse_duration(slash + 1, &per_s) < 0)
		return -EINVAL;
	return rates_add(r, (int64_t)requests, per_s);
}

static bool has_room(struct rate *rule, int64_t now_ms)
{
	if (rule->used > 0) {
		size_t newest = (rule->next + rule->requests - 1) % rule->requests;
		if (rule->at_ms[newest] > now_ms)
			rule->used = rule->next = 0;
	}
	if (rule->used < rule->requests)
		return true;
	/* The ring is full: `next` is the oldest admission. */
	return now_ms - rule->at_ms[rule->next] >= rule->per_ms;
}

bool rates_admit(struct rates *r, int64_t now_ms)
{
	for (size_t i = 0; i < r->n; i++)
		if (!has_room(&r->rule[i], now_ms))
			return false;
	for (size_t i = 0; i < r->n; i++) {
		struct rate *rule = &r->rule[i];
		rule->at_ms[rule->next] = now_ms;
		rule->next = (rule->next + 1) % rule->requests;
		if (rule->used < rule->requests)
			rule->used++;
	}
	return true;
}
