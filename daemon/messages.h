/* SPDX-License-Identifier: Apache-2.0 */
/* Every message an operator can meet, with its id. Only the files of this folder log above debug. */
#pragma once

#include "common/log.h"
#include "daemon/core/job.h"

/* Somebody did something, or something came to its end: said each time, and what was said before about the same domain is the past. */
#define MESSAGES_NEWS(X)                                                                                     \
	X(STARTED, "daemon-started", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a01")                                     \
	X(STOPPING, "daemon-stopping", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a02")                                   \
	X(RELOADED, "config-reloaded", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a03")                                   \
	X(CONFIG_BAD, "config-refused", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a04")                                  \
	X(START_FAILED, "start-failed", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a0a")                                  \
	X(CRASHED, "domain-crashed", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a0d")                                     \
	X(MENDED, "certificate-files-mended", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a0f")                            \
	X(ROLLED_BACK, "rolled-back", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a10")                                    \
	X(UNSTUCK, "domain-not-stuck", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a21")

/* What may go on for days: said ever more rarely (common/repeats.h). */
#define MESSAGES(X)                                                                                          \
	X(STATE_BAD, "state-unreadable", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a05")                                 \
	X(STATE_WRITE, "state-not-written", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a06")                              \
	X(STATE_ADOPTED, "state-adopted", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a07")                                \
	X(POLL_FAILED, "poll-failed", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a08")                                    \
	X(NAMES_DIFFER, "names-differ", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a09")                                  \
	X(LINK, "live-link", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a0b")                                             \
	X(KEY_STOPPED, "key-stopped", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a0c")                                    \
	X(MACHINE, "machine-warning", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a0e")                                    \
	X(HUNG, "workers-hung", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a11")                                          \
	X(STUCK, "domain-stuck", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a20")                                         \
	X(NOTICE, "notice-sent", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a22")                                         \
	X(NOTICE_FAILED, "notice-failed", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a23")                                \
	X(METRICS, "metrics-not-available", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a24")                              \
	X(EXPIRING, "certificate-expiring", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a25")                              \
	X(EXPIRED, "certificate-expired", "a1f6c1de3f8e4b0e9f0c6c3d5b8f1a26")

#define X(id, name, uuid) extern const struct log_msgid MSG_##id;
MESSAGES_NEWS(X)
MESSAGES(X)
#undef X

/* The id and the level of a report of the core. */
const struct log_msgid *message_of_report(enum report_kind k, enum log_level *ret_level);
