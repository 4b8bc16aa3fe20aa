/* SPDX-License-Identifier: Apache-2.0 */
/* The judges. They believe the CA's ledger and the disk, never the daemon's word. Each of them ends the process
 * with world_violation() when something is wrong. */
#pragma once

#include "common/base.h"

/* The daemon is about to send this. */
void judge_request(const char *method, const char *url, const char *body, size_t len);
/* The CA has answered a request; before: how many orders and certificates there were. */
void judge_ca_changed(size_t orders_before, size_t certificates_before);
/* No life is on: what is on disk must be enough for the next one. */
void judge_disk(void);
/* Once an hour. */
void judge_now(void);
/* Two days after the last trouble. */
void judge_settled(void);
/* After every event of the daemon's loop: does every domain have a next time? */
void judge_time(void);
struct loop;
/* A life has made its loop, and keeps it there. */
void judge_time_begin(struct loop **made);
void judge_time_forget(void);
/* A record is about to appear in DNS. */
void judge_proof_is_recorded(const char *name, const char *value);
/* Is the domain held, by its record on disk? */
bool judge_is_held(const char *name);
