/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/ca.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/mem.h"
#include "tests/sandbox/approvals.h"
#include "tests/sandbox/ca.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/dnsask.h"
#include "tests/sandbox/fetch.h"
#include "tests/sandbox/orders.h"
#include "tests/sandbox/routes.h"
#include "tests/sandbox/settings.h"
#include "tests/sandbox/worker.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"
#include "tests/sim/zone.h"

#define WEB_MAX 5000

static struct sandbox sb;
static struct event *tick;
static bool silent; /* it wanted to keep its client waiting: no answer comes */

/* --- its own thread: one turn of worker_run() up to where it would sleep, as an event --- */

void __wrap_sbx_wait_locked(struct sandbox *s, int64_t ms);
void __wrap_sbx_wake_by(struct sandbox *s, int64_t due_ms);
void __wrap_sbx_sleep(struct sandbox *s, int64_t ms);

static void run_worker(void *arg)
{
	(void)arg;
	tick = NULL;
	atomic_store(&sb.stopping, false);
	(void)worker_run(&sb);
	atomic_store(&sb.stopping, false);
}

static void tick_in(int64_t ms)
{
	world_drop(&tick);
	tick = world_after(OWNER_WORLD, ms, run_worker, NULL);
}

void __wrap_sbx_wait_locked(struct sandbox *s, int64_t ms)
{
	tick_in(ms);
	atomic_store(&s->stopping, true);
}

void __wrap_sbx_wake_by(struct sandbox *s, int64_t due_ms)
{
	tick_in(due_ms <= sbx_now_ms(s) ? 1 : due_ms - sbx_now_ms(s)); /* it may be as early as can be */
}

void __wrap_sbx_sleep(struct sandbox *s, int64_t ms)
{
	(void)s;
	(void)ms;
	silent = true;
}

/* --- its eyes --- */

bool fetch_proves(const struct fetch_ports *ports, const char *name, const struct proof *proof,
		  const atomic_bool *stop)
{
	char text[WEB_MAX + 1];

	(void)ports;
	(void)stop;
	return web_get(name, text, sizeof(text)) == 200 && proof_in(proof, text, strlen(text));
}

bool dnsask_server_is_good(const char *server)
{
	(void)server;
	return true;
}

/* Its validators ask from many places: each meets some server of the zone. Looks at name, and where a CNAME leads. */
static bool txt_shows(const char *name, const struct proof *p)
{
	unsigned server = (unsigned)world_range(STREAM_DNS, 0, ZONE_SERVERS - 1);
	struct zone_view v;

	zone_look(server, name, &v);
	if (v.cname)
		zone_look(server, v.cname, &v);
	for (size_t i = 0; i < v.n; i++)
		if (proof_in(p, v.txt[i], strlen(v.txt[i])))
			return true;
	return false;
}

bool dnsask_txt_proves(const char *server, const char *name, const struct proof *p, const atomic_bool *stop)
{
	_cleanup_free_ char *below = xasprintf("_dnsauth.%s", name);

	(void)server;
	(void)stop;
	return txt_shows(below, p) || txt_shows(name, p);
}

bool dnsask_cname_proves(const char *server, const char *name, const char *value, const atomic_bool *stop)
{
	_cleanup_free_ char *below = xasprintf("_dnsauth.%s", name);
	_cleanup_free_ char *target = xasprintf("%s" ZONE_SUFFIX, value);
	struct zone_view v;

	(void)server;
	(void)stop;
	zone_look((unsigned)world_range(STREAM_DNS, 0, ZONE_SERVERS - 1), below, &v);
	return v.cname && strcmp(v.cname, target) == 0;
}

/* --- life --- */

void ca_begin(const char *dir, bool tells_revocations)
{
	_cleanup_close_ int fd = -1;
	struct err e = ERR_INIT;

	sbx_init(&sb);
	fd = fs_open_dir(AT_FDCWD, dir, &e);
	if (fd < 0 || ca_open(fd, clock_now(), &sb.ca, &e) < 0) {
		fprintf(stderr, "sim: %s\n", e.text);
		exit(2);
	}
	if (tells_revocations)
		ca_set_pki_url(sb.ca, CA_PKI_URL);
	sb.api_key = xstrdup(CA_API_KEY);
	sb.scutum_key = xstrdup(CA_SCUTUM_KEY);
	sb.set.quiet = true;
	sb.dns = xstrdup("10.9.0.1:53");
	if (rates_add_text(&sb.rates, "100/5s") < 0 || rates_add_text(&sb.rates, "1000/180s") < 0)
		abort();
	tick_in(1);
}

void ca_end(void)
{
	world_drop(&tick);
	sbx_done(&sb);
}

void ca_call(const struct ca_call *c, struct ca_answer *ret)
{
	struct request rq = { .body = STRBUF_INIT(REQUEST_BODY_MAX) };
	struct reply rp = { 0 };

	silent = false;
	rq.broken = request_set_uri(&rq, c->target) < 0;
	rq.method = xstrdup(c->method);
	rq.api_key = xstrdup_opt(c->api_key);
	rq.scutum_key = xstrdup_opt(c->scutum_key);
	rq.content_type = xstrdup_opt(c->content_type);
	if (c->body)
		strbuf_add(&rq.body, c->body, c->body_len);
	if (c->plain)
		routes_answer_plain(&sb, &rq, &rp);
	else
		routes_answer(&sb, &rq, &rp);
	request_done(&rq);
	*ret = (struct ca_answer){ .status = silent || rp.ending == REPLY_DROP ? 0 : rp.status,
				   .body = TAKE_PTR(rp.body),
				   .len = rp.len,
				   .content_type = rp.content_type ? rp.content_type : "",
				   .retry_after = TAKE_PTR(rp.retry_after) };
	reply_done(&rp);
}

void ca_set(const char *setting)
{
	struct err e = ERR_INIT;

	if (settings_set_text(&sb.set, setting, &e) < 0) {
		fprintf(stderr, "sim: %s\n", e.text);
		abort();
	}
	tick_in(1);
}

void ca_fault(const char *text)
{
	struct err e = ERR_INIT;
	struct fault f = { 0 };

	if (fault_parse_text(text, &f, &e) < 0) {
		fprintf(stderr, "sim: %s\n", e.text);
		abort();
	}
	faults_add(&sb.faults, &f);
}

bool ca_console(size_t i, const char *action)
{
	_cleanup_free_ char *target = xasprintf("/sandbox/orders/%lld", (long long)sb.orders[i]->id);
	_cleanup_free_ char *body = xasprintf("{\"action\":\"%s\"}", action);
	struct ca_call c = { .method = "POST",
			     .target = target,
			     .content_type = "application/json",
			     .body = body,
			     .body_len = strlen(body) };
	struct ca_answer a;

	ca_call(&c, &a);
	free(a.body);
	free(a.retry_after);
	tick_in(1);
	return a.status == 200;
}

bool ca_cancel(size_t i)
{
	struct order *o = sb.orders[i];

	if (!order_is(o, "pending") && !order_is(o, "needs_approval"))
		return false;
	orders_set_status(&sb, o, "canceled");
	return true;
}

bool ca_new_value(size_t i)
{
	struct order *o = sb.orders[i];

	if (!order_is(o, "pending") && !order_is(o, "reissue_pending"))
		return false;
	orders_new_token(&sb, o);
	return true;
}

bool ca_revoke_certificates(size_t i)
{
	struct order *o = sb.orders[i];
	bool any = false;

	if (!order_is(o, "issued") && !order_is(o, "reissue_pending"))
		return false;
	for (size_t k = 0; k < o->n_certificates; k++) {
		struct certificate *c = o->certificates[k];

		if (!c->issued_at || certificates_revoked(&sb, c))
			continue;
		c->revoked_at = sbx_now(&sb);
		any = true;
	}
	return any;
}

/* --- the ledger --- */

size_t ca_n_orders(void)
{
	return sb.n_orders;
}

void ca_order(size_t i, struct ca_order *ret)
{
	const struct order *o = sb.orders[i];

	*ret = (struct ca_order){
		.id = o->id,
		.reference = o->alternative_order_id ? o->alternative_order_id : "",
		.name = o->active->names[0],
		.status = o->status,
		.created_at = o->created_at,
		.changed_at = orders_subject(o)->created_at,
		.valid_till = o->valid_till,
		.pending =
			order_is(o, "pending") || order_is(o, "needs_approval") || order_is(o, "processing"),
		.issued = o->active->issued_at && !certificates_revoked(&sb, o->active) &&
			  (order_is(o, "issued") || order_is(o, "reissue_pending")),
		.reissuing = o->next != NULL,
		.usable = o->active->issued_at && (order_is(o, "issued") || order_is(o, "reissue_pending")),
		.by_email = o->dcv_method == DCV_EMAIL,
		.renewal_of = o->renewal_of,
		.not_after = o->active->issued_at ? o->active->cert.not_after : 0,
	};
}

const char *ca_csr(size_t i)
{
	return orders_subject(sb.orders[i])->csr->pem;
}

/* Two spellings of one number: with and without zeros in front. */
static bool same_serial(const char *a, const char *b)
{
	return strcasecmp(a + strspn(a, "0"), b + strspn(b, "0")) == 0;
}

bool ca_serial_revoked(const char *serial)
{
	for (size_t i = 0; i < sb.n_certificates; i++)
		if (sb.certificates[i]->issued_at && same_serial(sb.certificates[i]->cert.serial, serial))
			return certificates_revoked(&sb, sb.certificates[i]);
	return false;
}

bool ca_tells(void)
{
	return sb.set.revocation != REVOCATION_SILENT && sb.set.revocation != REVOCATION_GARBAGE;
}

int64_t ca_n_429(void)
{
	return sb.count_429;
}

size_t ca_n_certificates(void)
{
	return sb.n_certificates;
}
