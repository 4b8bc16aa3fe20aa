/* SPDX-License-Identifier: Apache-2.0 */
/* What the judges share. */
#pragma once

#include "daemon/core/record.h"
#include "tests/sim/judge.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define DAY INT64_C(86400)

/* The record on disk, NULL when there is none; stays valid until it is asked for again. */
const struct record *judge_record(const char *name);
/* Of the certificate behind the link, as it was seen last; "" when there is none. */
const char *judge_serial(const struct actor *a);

/* The verdict, with a line about each domain in front. */
#define bad(...) (judge_show_records(), world_violation(__VA_ARGS__))
void judge_show_records(void);

/* Nothing of ours is in DNS that no record names. done: and nothing at all of those without a job. */
void judge_dns(bool done);
/* Revoked certificates are replaced in time. */
void judge_revoked(void);
void judge_none_is_revoked(void);
