/* SPDX-License-Identifier: Apache-2.0 */
/* state/<name>.json after a bad disk or a bad editor. What decodes must be written and read again as the same record, and
 * must be safe to hand to the step: whatever it does with it, a post is never started without its intent. */
#include "common/mem.h"
#include "daemon/core/decide.h"
#include "daemon/core/job.h"

#define NAME "www.example.jp"
#define T0   INT64_C(1795248000)
/* Beyond this the pretty text may pass the cap of a file. */
#define LEN_MAX (32u << 10)

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const struct record *r)
{
	_cleanup_(json_freep) struct json *o = record_encode(r);
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT(1u << 20);

	json_write(o, JSON_PRETTY, &sb);
	CHECK(strbuf_ok(&sb));
	return strbuf_take(&sb);
}

/* A daemon that finds this record at its start. */
static void restart(struct record *r)
{
	static const char *const names[] = { NAME };
	static const struct cfg_domain spec = { .name = NAME,
						.common_name = NAME,
						.names = names,
						.n_names = 1,
						.product = "ssl_dv",
						.spec_hash = 1 };
	struct job_env env = {
		.spec = &spec, .tempo = 60, .now = T0, .order_allowed_at = T0, .fresh_reference = "f"
	};
	struct view v = { .spec = &spec, .rec = r, .now = T0, .order_allowed_at = T0 };
	struct job_event ev = { .kind = EV_RESTART };
	struct decision d;
	struct job_update u;
	bool had_order = r->job && r->job->order_id != 0, had_post = r->job && r->job->submitted_at != 0;

	decide(&v, &d);
	CHECK(d.want == WANT_NOTHING || (!r->job && !r->held));
	job_step(r, &env, &ev, &u);
	CHECK(u.start != OP_SUBMIT ||
	      (!had_order && !had_post && u.persist && r->job->csr && r->job->submitted_at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(record_freep) struct record *a = NULL, *b = NULL;
	_cleanup_free_ char *first = NULL, *second = NULL;
	struct err e = ERR_INIT;

	if (size > LEN_MAX)
		return 0;
	if (record_decode(NAME, (const char *)data, size, &a, &e) < 0) {
		CHECK(!a && e.code < 0 && e.text[0]);
		return 0;
	}
	first = text_of(a);
	CHECK(record_decode(NAME, first, strlen(first), &b, &e) == 0);
	second = text_of(b);
	CHECK(strcmp(first, second) == 0);
	restart(b);
	return 0;
}
