/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/fetch.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/strbuf.h"
#include "tests/sandbox/names.h"

#include <curl/curl.h>
#include <strings.h>

#define USER_AGENT "DigiCert DCV Bot/1.1"
#define CONNECT_MS 2000L
#define TOTAL_MS   5000
#define HOPS_MAX   5
#define BODY_MAX   5000

DEFINE_CLEANUP(CURL *, curl_easy_cleanup)
DEFINE_CLEANUP(CURLU *, curl_url_cleanup)

struct look {
	CURL *easy;
	struct curl_slist *connect_to;
	const char *name;
	const struct proof *proof;
	const atomic_bool *stop;
	char body[BODY_MAX + 1];
	size_t body_len;
	int64_t end_ms;
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct look *l = arg;
	size_t len = MIN(size * n, BODY_MAX - l->body_len);
	memcpy(l->body + l->body_len, data, len);
	l->body_len += len;
	return len; /* less than offered ends the transfer: 5000 bytes are all that is read */
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	const struct look *l = arg;
	return atomic_load(l->stop) ? 1 : 0;
}

static void set_up(struct look *l, const struct fetch_ports *ports)
{
	_cleanup_free_ char *http = xasprintf(":80:127.0.0.1:%u", ports->http);
	_cleanup_free_ char *https = xasprintf(":443:127.0.0.1:%u", ports->https);
	l->connect_to = curl_slist_append(NULL, http);
	l->connect_to = curl_slist_append(l->connect_to, https);
	CURL *e = l->easy;
	curl_easy_setopt(e, CURLOPT_CONNECT_TO, l->connect_to);
	curl_easy_setopt(e, CURLOPT_USERAGENT, USER_AGENT);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, l);
	curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(e, CURLOPT_XFERINFODATA, l);
}

/* The status of one GET, or 0 when there was no whole answer. */
static long get(struct look *l, const char *url)
{
	int64_t left = l->end_ms - clock_mono_ms();
	if (left <= 0)
		return 0;
	l->body_len = 0;
	curl_easy_setopt(l->easy, CURLOPT_URL, url);
	curl_easy_setopt(l->easy, CURLOPT_TIMEOUT_MS, (long)left);
	CURLcode rc = curl_easy_perform(l->easy);
	l->body[l->body_len] = '\0';
	if (rc != CURLE_OK && !(rc == CURLE_WRITE_ERROR && l->body_len == BODY_MAX))
		return 0;
	long status = 0;
	curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static bool part_is(CURLU *u, CURLUPart part, unsigned flags, const char *want)
{
	char *val = NULL;
	bool same = curl_url_get(u, part, &val, flags) == CURLUE_OK && !strcmp(val, want);
	curl_free(val);
	return same;
}

/* Same registrable domain, http or https on its own port, no user part, and the value not in the address:
 * a server that echoes its request must not prove anything. */
static bool may_follow(const struct look *l, const char *url)
{
	_cleanup_(curl_url_cleanupp) CURLU *u = curl_url();
	if (!u || proof_in(l->proof, url, strlen(url)) || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
		return false;
	bool http = part_is(u, CURLUPART_SCHEME, 0, "http") &&
		    part_is(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, "80");
	bool https = part_is(u, CURLUPART_SCHEME, 0, "https") &&
		     part_is(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, "443");
	if (!http && !https)
		return false;
	char *host = NULL, *user = NULL;
	bool good = curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && name_is_good(host, false) &&
		    names_are_related(host, l->name) &&
		    curl_url_get(u, CURLUPART_USER, &user, 0) != CURLUE_OK;
	curl_free(host);
	curl_free(user);
	return good;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 307 || status == 308;
}

static bool look_around(struct look *l)
{
	_cleanup_free_ char *url = xasprintf("http://%s/.well-known/pki-validation/fileauth.txt", l->name);
	for (int hop = 0;; hop++) {
		long status = get(l, url);
		if (status == 200)
			return proof_in(l->proof, l->body, l->body_len);
		char *next = NULL;
		if (hop == HOPS_MAX || !is_redirect(status) ||
		    curl_easy_getinfo(l->easy, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || !next ||
		    !may_follow(l, next))
			return false;
		free(url);
		url = xstrdup(next);
	}
}

bool fetch_proves(const struct fetch_ports *ports, const char *name, const struct proof *proof,
		  const atomic_bool *stop)
{
	_cleanup_(curl_easy_cleanupp) CURL *easy = curl_easy_init();
	if (!easy || name_is_wildcard(name))
		return false;
	_cleanup_free_ struct look *l = xmalloc(sizeof(*l));
	*l = (struct look){ .easy = easy, .name = name, .proof = proof, .stop = stop };
	l->end_ms = clock_mono_ms() + TOTAL_MS;
	set_up(l, ports);
	bool proven = look_around(l);
	curl_slist_free_all(l->connect_to);
	return proven;
}
