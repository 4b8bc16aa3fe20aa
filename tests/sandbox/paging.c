/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/paging.h"

#include "common/mem.h"
#include "common/str.h"
#include "common/timefmt.h"

#include <errno.h>

#define DAY_S	 INT64_C(86400)
#define PAGE_MAX 1000
#define MDT_S	 (6 * INT64_C(3600)) /* UTC-6 */

int paging_error(struct reply *rp, const char *kind, const char *key, const char *message)
{
	_cleanup_free_ char *code = xasprintf("%s|%s", kind, key);
	return reply_error(rp, 400, code, "%s", message);
}

/* Every parameter must be in the list: a typo in a query is as silent as one in a body. */
int paging_check_query(const struct request *rq, const char *const *known, size_t n, struct reply *rp)
{
	for (size_t i = 0; i < rq->n_query; i++) {
		bool found = false;
		for (size_t k = 0; k < n && !found; k++)
			found = !strcmp(rq->query[i].key, known[k]);
		if (!found)
			return paging_error(rp, "unknown_field", rq->query[i].key,
					    "The parameter is not documented.");
	}
	return 0;
}

int paging_number(const struct request *rq, const char *key, uint64_t *ret, struct reply *rp)
{
	const char *text = request_query(rq, key);
	if (text && str_parse_u64(text, ret) < 0)
		return paging_error(rp, "invalid_field", key, "Must be a whole number.");
	return 0;
}

int paging_begin(struct page *p, const struct request *rq, struct reply *rp)
{
	*p = (struct page){ .limit = PAGE_MAX };
	if (paging_number(rq, "limit", &p->limit, rp) < 0 || paging_number(rq, "offset", &p->offset, rp) < 0)
		return -1;
	if (p->limit < 1 || p->limit > PAGE_MAX)
		return paging_error(rp, "invalid_field", "limit", "Must be 1 to 1000.");
	p->rows = json_new_arr();
	return 0;
}

bool paging_takes(struct page *p)
{
	uint64_t at = p->total++;
	return at >= p->offset && at - p->offset < p->limit;
}

struct json *paging_json(struct page *p)
{
	struct json *page = json_new_obj();
	json_set_i64(page, "total", (int64_t)p->total);
	json_set_i64(page, "limit", (int64_t)p->limit);
	json_set_i64(page, "offset", (int64_t)MIN(p->offset, (uint64_t)INT64_MAX));
	struct json *j = json_new_obj();
	json_set(j, "orders", TAKE_PTR(p->rows));
	json_set(j, "page", page);
	return j;
}

int paging_parse_mdt(const char *s, size_t len, bool end, int64_t *ret)
{
	_cleanup_free_ char *text = xstrndup(s, len);
	int64_t at = 0;
	if (timefmt_parse_date(text, &at) == 0) {
		*ret = at + MDT_S + (end ? DAY_S - 1 : 0);
		return 0;
	}
	_cleanup_free_ char *utc = xasprintf("%sZ", text);
	if (timefmt_parse_rfc3339(utc, &at) < 0)
		return -EINVAL;
	*ret = at + MDT_S;
	return 0;
}
