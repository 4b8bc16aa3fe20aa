/* SPDX-License-Identifier: Apache-2.0 */
/* What an order needs in DNS: finding out where its records belong, putting them up, looking whether the world sees them, taking
 * them down. Calls keep the contract at the head of daemon/io/loop.h. */
#pragma once

#include "daemon/app.h"

struct dnsproof;

/* targets: blank separated, only for dnsproof_targets() with fault NONE. */
typedef void dnsproof_done_fn(const struct outcome *o, const char *targets, void *owner);

/* The ends of the CNAMEs at the names where the CA looks, in their order. preflight.dns: off: nobody is asked, those names
 * themselves. */
void dnsproof_targets(struct domain *d, dnsproof_done_fn *done, void *owner, struct dnsproof **ret);
/* All proofs of the record that the job needs. */
void dnsproof_publish(struct domain *d, dnsproof_done_fn *done, void *owner, struct dnsproof **ret);
/* Do all authoritative servers (or the one of preflight.dns) show every value? */
void dnsproof_look(struct domain *d, dnsproof_done_fn *done, void *owner, struct dnsproof **ret);
/* Takes proofs of one provider down; the list is copied. That may have left the configuration: LOCAL, with the remedy. */
void dnsproof_withdraw(struct domain *d, const struct record_proof *list, size_t n, dnsproof_done_fn *done,
		       void *owner, struct dnsproof **ret);
/* Silence; clears *p. NULL accepted. */
void dnsproof_cancel(struct dnsproof **p);
