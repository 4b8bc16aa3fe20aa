/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/state.h"

#include "common/clock.h"
#include "common/mem.h"

#include <errno.h>

static const char *const endpoint_names[SBX_ENDPOINT_NR] = {
	[SBX_ORDER] = "order",
	[SBX_FIND] = "find",
	[SBX_INFO] = "info",
	[SBX_TOKEN] = "token",
	[SBX_CHECK] = "check",
	[SBX_CHANGES] = "changes",
	[SBX_DOWNLOAD] = "download",
	[SBX_CHAIN] = "chain",
	[SBX_SCUTUM] = "scutum",
	[SBX_OTHER] = "other",
	[SBX_REISSUE] = "reissue",
	[SBX_REISSUES] = "reissues",
	[SBX_DUPLICATE] = "duplicate",
	[SBX_DUPLICATES] = "duplicates",
	[SBX_REVOKE] = "revoke",
	[SBX_APPROVE] = "approve",
	[SBX_CANCEL] = "cancel",
	[SBX_METHOD] = "method",
	[SBX_RESEND] = "resend",
	[SBX_LIST] = "list",
	[SBX_ME] = "me",
	[SBX_PRODUCTS] = "products",
	[SBX_AUTHKEY] = "authkey",
	[SBX_OCSP] = "ocsp",
	[SBX_CRL] = "crl",
};

const char *sbx_endpoint_name(enum sbx_endpoint ep)
{
	return endpoint_names[ep];
}

int sbx_endpoint_parse(const char *name, enum sbx_endpoint *ret)
{
	for (int i = 0; i < SBX_ENDPOINT_NR; i++) {
		if (!strcmp(name, endpoint_names[i])) {
			*ret = (enum sbx_endpoint)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Grows by doubling: the place is reallocated when n is 0 or a power of two. */
void *sbx_grow(void **array, size_t *n, size_t size)
{
	if ((*n & (*n - 1)) == 0 || *n == 0)
		*array = xrealloc_array(*array, *n ? *n * 2 : 1, size);
	char *slot = (char *)*array + *n * size;
	memset(slot, 0, size);
	(*n)++;
	return *array ? slot : NULL;
}

void sbx_init(struct sandbox *sb)
{
	*sb = (struct sandbox){ 0 };
	pthread_mutex_init(&sb->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sb->wake, &attr);
	pthread_condattr_destroy(&attr);
	sb->worker_due_ms = INT64_MIN;
	sb->base_wall_ms = clock_now() * 1000;
	sb->base_mono_ms = clock_mono_ms();
	sb->set = (struct settings){
		.validity_s = 199 * INT64_C(86400),
		.ca_poll_s = 60,
		.old_revoke_s = 48 * INT64_C(3600),
		.revocation_life_s = 6 * INT64_C(3600),
		.token_days = 30, /* CertCentral: a random value lives 30 days */
		.http_port = 80,
		.https_port = 443,
	};
	/* Three number spaces that never meet, and that move on from run to run: a client that mixes up its
	 * ids, or keeps those of an earlier sandbox, gets 404 and not a stranger's order. */
	sb->first_id = 100000000 + (clock_now() % 30000000) * 10;
	sb->first_certificate_id = sb->first_id + 1000000000;
	sb->first_approval_id = sb->first_id / 10;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void order_free(struct order *o)
{
	free(o->alternative_order_id);
	free(o->payment_method);
	free(o->dcv_emails);
	free(o->certificates);
	free(o->approvals);
	free(o);
}

static void certificate_free(struct certificate *c)
{
	free_names(c->names, c->n_names);
	free(c->proven);
	csr_free(c->csr);
	ca_cert_done(&c->cert);
	free(c);
}

static void free_ledger(struct sandbox *sb)
{
	for (size_t i = 0; i < sb->n_orders; i++)
		order_free(sb->orders[i]);
	free(sb->orders);
	for (size_t i = 0; i < sb->n_certificates; i++)
		certificate_free(sb->certificates[i]);
	free(sb->certificates);
	for (size_t i = 0; i < sb->n_approvals; i++) {
		free(sb->approvals[i]->comments);
		free(sb->approvals[i]);
	}
	free(sb->approvals);
	free(sb->auth_keys);
	for (size_t i = 0; i < sb->n_caa; i++)
		free(sb->caa[i].name);
	free(sb->caa);
}

void sbx_done(struct sandbox *sb)
{
	free_ledger(sb);
	for (size_t i = 0; i < sb->n_requests; i++) {
		free(sb->requests[i].method);
		free(sb->requests[i].path);
	}
	free(sb->requests);
	for (size_t i = 0; i < sb->n_pushes; i++) {
		free(sb->pushes[i].host);
		free(sb->pushes[i].id);
		free(sb->pushes[i].serial);
		free_names(sb->pushes[i].names, sb->pushes[i].n_names);
	}
	free(sb->pushes);
	for (size_t i = 0; i < sb->n_accounts; i++) {
		free(sb->accounts[i].host);
		free(sb->accounts[i].id);
		mem_wipe_free(sb->accounts[i].key);
	}
	free(sb->accounts);
	faults_clear(&sb->faults);
	rates_clear(&sb->rates);
	free(sb->dns);
	mem_wipe_free(sb->api_key);
	mem_wipe_free(sb->scutum_key);
	ca_free(sb->ca);
	pthread_cond_destroy(&sb->wake);
	pthread_mutex_destroy(&sb->lock);
}

int64_t sbx_now_ms(const struct sandbox *sb)
{
	return sb->base_wall_ms + (clock_mono_ms() - sb->base_mono_ms) + sb->offset_s * 1000;
}

int64_t sbx_now(const struct sandbox *sb)
{
	int64_t ms = sbx_now_ms(sb);
	return ms >= 0 ? ms / 1000 : -((999 - ms) / 1000);
}

void sbx_wait_locked(struct sandbox *sb, int64_t ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	(void)pthread_cond_timedwait(&sb->wake, &sb->lock, &until);
}

void sbx_wake_by(struct sandbox *sb, int64_t due_ms)
{
	if (due_ms < sb->worker_due_ms)
		pthread_cond_broadcast(&sb->wake);
}

void sbx_sleep(struct sandbox *sb, int64_t ms)
{
	SBX_LOCKED(sb);
	int64_t end = clock_mono_ms() + ms;
	for (int64_t left = ms; left > 0 && !atomic_load(&sb->stopping); left = end - clock_mono_ms())
		sbx_wait_locked(sb, left);
}

void sbx_stop(struct sandbox *sb)
{
	SBX_LOCKED(sb);
	atomic_store(&sb->stopping, true);
	pthread_cond_broadcast(&sb->wake);
}
