/* SPDX-License-Identifier: Apache-2.0 */
/* CAA (RFC 8659) as the CA sees it. Nobody asks DNS for it here: what is found there is said at the admin endpoint,
 * name by name, and holds for what is below the name too. All with the lock held. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

/* May the CA issue for all of these names? 0, or -1 with `caa_check_failed|NAME` or `caa_not_found|NAME` in *rp. */
int caa_check(const struct sandbox *sb, char *const *names, size_t n, struct reply *rp) _must_check_;
/* Does CAA keep this certificate from being issued? */
bool caa_blocks(const struct sandbox *sb, const struct certificate *c);
/* {NAME: text}, as order info shows it on request. */
struct json *caa_status_json(const struct sandbox *sb, const struct certificate *c);

/* Notes that CAA of this name forbids ("failed") or cannot be read ("not_found"); false when it is no name, or another
 * word. */
bool caa_set(struct sandbox *sb, const char *name, const char *answer);
/* GET, POST and DELETE /sandbox/caa. */
void caa_get(struct sandbox *sb, const struct request *rq, struct reply *rp);
void caa_post(struct sandbox *sb, const struct request *rq, struct reply *rp);
void caa_delete(struct sandbox *sb, const struct request *rq, struct reply *rp);
