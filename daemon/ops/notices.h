/* SPDX-License-Identifier: Apache-2.0 */
/* Who is to be told of what: the memory behind `notify`. Level-triggered: domains are shown to it as they are, and it decides
 * which of them are news. Each event at most once a day for each domain, over restarts; `recovered` only after one of the others
 * was told. Pure; its file is a matter of convenience: without it people are told again. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/strbuf.h"

enum notice_event { NOTICE_FAILED, NOTICE_EXPIRING, NOTICE_RECOVERED, NOTICE_NR };
/* "failed", "expiring", "recovered" */
const char *notice_word(enum notice_event ev);

#define NOTICE_DAY 86400

struct notices;

struct notices *notices_new(void);
void notices_free(struct notices *n);
DEFINE_CLEANUP(struct notices *, notices_free)

/* A round shows every domain once, in the order of their names (strcmp); those that were not shown are forgotten at its end. */
void notices_begin(struct notices *n);
/* good: neither failed nor expiring, and nothing is under way. */
void notices_show(struct notices *n, const char *name, bool failed, bool expiring, bool good, int64_t now);
void notices_end(struct notices *n, int64_t now);

/* Is there anybody to be told of? */
bool notices_wait(const struct notices *n, enum notice_event ev);
/* Takes all that wait for this event into the call that is about to be made; how many are in it, earlier ones that are being
 * repeated included. */
size_t notices_take(struct notices *n, enum notice_event ev);
/* Those of the call, in order. */
typedef void notices_fn(const char *name, void *arg);
void notices_each_taken(const struct notices *n, enum notice_event ev, notices_fn *fn, void *arg);
/* The call is over, for better or worse. */
void notices_done(struct notices *n, enum notice_event ev);

/* Has anything changed that the file does not know? Asking makes it false. */
bool notices_changed(struct notices *n);
/* To and from the text of the file. Damage (-EBADMSG) leaves n as it was. */
void notices_encode(const struct notices *n, struct strbuf *sb);
int notices_decode(struct notices *n, const char *text, size_t len, struct err *reterr) _must_check_;
