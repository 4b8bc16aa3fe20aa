/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters of lists: which are known, numbers, limit and offset, dates in Mountain time. */
#pragma once

#include "tests/sandbox/request.h"

struct page {
	uint64_t limit;
	uint64_t offset;
	uint64_t total; /* how many matched so far */
	struct json *rows;
};

/* `kind|key`, always -1. */
int paging_error(struct reply *rp, const char *kind, const char *key, const char *message);
/* Every parameter must be in the list: a typo in a query is as silent as one in a body. 0, or -1 with the
 * error in *rp, here and below. */
int paging_check_query(const struct request *rq, const char *const *known, size_t n, struct reply *rp);
int paging_number(const struct request *rq, const char *key, uint64_t *ret, struct reply *rp);
/* Reads limit and offset. After 0 the rows are to be given to paging_json(). */
int paging_begin(struct page *p, const struct request *rq, struct reply *rp);
/* Counts a match; true when its row is to be added to p->rows. */
bool paging_takes(struct page *p);
/* {"orders":rows,"page":{...}}; takes the rows. */
struct json *paging_json(struct page *p);
/* "yyyy-MM-dd" or "yyyy-MM-dd HH:mm:ss" (the '+' of the address is a blank by now) in Mountain Daylight
 * Time; a date is its first second, or with end its last. 0 or -EINVAL. */
int paging_parse_mdt(const char *s, size_t len, bool end, int64_t *ret);
