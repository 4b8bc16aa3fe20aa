/* SPDX-License-Identifier: Apache-2.0 */
/* Scutum cloud WAF: POST {url}/update_cert?host=..&id=.. (support.scutum.jp/manual/api/certificate.html). The pushed
 * certificate becomes active at once and there is no way back by API, so everything is checked before. */
#pragma once

#include "common/strbuf.h"
#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/core/tally.h"
#include "daemon/io/http.h"

struct scutum;
struct scutum_call;

int scutum_new(struct loop *l, struct config *c, struct scutum **ret, struct err *reterr) _must_check_;
int scutum_reconfigure(struct scutum *s, struct config *c, struct err *reterr) _must_check_;
void scutum_free(struct scutum *s);

struct scutum_push {
	const struct cfg_scutum_target *target;
	const char *cert;  /* leaf PEM, LF */
	const char *key;   /* PEM, PKCS#1 for RSA; already encrypted when target->key_passphrase is set */
	const char *chain; /* intermediates PEM, LF, without the root; "" = no im */
};

/* fault NONE: 200 {"status":"ok"}. 400: REFUSED with code = the documented error text ("Invalid Key"), message with
 * error_on and error_id. 401/403: AUTH. 404: CONFIG. 429: THROTTLED. 5xx, time-out: UNCLEAR (pushing again is harmless). A 200 with
 * anything else than status ok is UNCLEAR. */
typedef void scutum_done_fn(const struct outcome *o, void *owner);
void scutum_push_start(struct scutum *s, const struct scutum_push *p, scutum_done_fn *done, void *owner,
		       struct scutum_call **ret);
void scutum_cancel(struct scutum_call **c);

/* Answered requests by HTTP status (kind is 0), since the start. */
const struct tally *scutum_tally(const struct scutum *s);

/* Pure parts. im is an array with one PEM per intermediate. */
void scutum_encode(const struct scutum_push *p, struct strbuf *sb);
void scutum_decode(const struct http_result *http, int64_t now, struct outcome *ret);
