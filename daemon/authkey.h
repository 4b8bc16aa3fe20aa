/* SPDX-License-Identifier: Apache-2.0 */
/* The account's AuthKey, with which request tokens are made: from the configuration, else asked from the API once for all domains. It is
 * never created here. Calls keep the contract at the head of daemon/io/loop.h. */
#pragma once

#include "daemon/app.h"

struct authkey_call;

/* key: only with fault NONE, valid during the callback. REFUSED: the account has none that may be used, with the remedy. */
typedef void authkey_done_fn(const struct outcome *o, const struct secret *key, void *owner);
void authkey_get(struct app *a, int64_t prio, authkey_done_fn *done, void *owner, struct authkey_call **ret);
void authkey_cancel(struct authkey_call **c);
/* Ask again next time: after a reload, and when tokens made with it were not accepted. */
void authkey_forget(struct app *a);
/* Can request tokens be made without asking the API? */
bool authkey_is_known(const struct app *a);
/* On the way out; nobody waits any more. */
void authkey_free(struct app *a);
