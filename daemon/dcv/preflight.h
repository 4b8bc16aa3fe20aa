/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at http://NAME/.well-known/pki-validation/fileauth.txt the way the CA's validator does: 2 s to connect, 5 s in
 * all, at most 5000 bytes, redirects 301/302/307/308 only, at most 5, only within the same registrable domain and only to the
 * scheme's own port, user agent "DigiCert DCV Bot/1.1"; the value may stand anywhere in the body. (DigiCert's domain-control-validation
 * library, FileClient and CustomRedirectStrategy.) */
#pragma once

#include "config/model.h"
#include "daemon/core/outcome.h"
#include "daemon/io/http.h"

struct preflight;
struct preflight_call;

int preflight_new(struct loop *l, struct preflight **ret, struct err *reterr) _must_check_;
void preflight_free(struct preflight *p);

/* Looks at all names, a few at a time. connect_to: CFG_LOOK_AT's address or NULL. fault NONE: every name shows the token. Else REFUSED (seen, but
 * wrong) or UNCLEAR (not reachable) with a message that names the first bad name, what came back
 * (status, first bytes escaped, redirect target, certificate or connection error) and the remedy, and how many names are bad. */
typedef void preflight_done_fn(const struct outcome *o, void *owner);
void preflight_start(struct preflight *p, const char *const *names, size_t n_names, const char *token,
		     const char *connect_to, preflight_done_fn *done, void *owner,
		     struct preflight_call **ret);
void preflight_cancel(struct preflight_call **c);

/* May the validator follow a redirect from one URL to the other? Pure. On yes *ret is the absolute URL (caller frees). */
bool preflight_may_follow(const char *from_url, const char *location, char **ret, char *why, size_t why_len);
