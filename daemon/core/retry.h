/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait. Every waiting time of the program is a multiple of one unit, the tempo
 * (certcentral.poll_interval, 60 s by default), so that rehearsals and tests can run fast with the same
 * code and the same ratios. */
#pragma once

#include "common/base.h"

/* Multiples of the tempo. */
#define RETRY_CAP	 360 /* longest pause after a failure: 6 h */
#define RETRY_CHECK_CAP	 60  /* longest pause between two checks of a proof: 1 h */
#define RETRY_INFO_FIRST 5   /* slow reconciliation of an open order: 5 min, growing */
#define RETRY_INFO_CAP	 60  /* to 1 h */
/* An order that cannot be found by our reference counts as never placed only after this many look-ups
 * over this long: lists may lag. */
#define RETRY_ABSENT_AGE   15
#define RETRY_ABSENT_LOOKS 3

/* How often a certificate that was seen to be served is looked at again: daily. */
#define RETRY_LOOK 1440

/* No pause is longer than this (the order budget asks for a day): one that is comes from a clock that was far ahead. */
#define RETRY_LONGEST(tempo) (MAX((int64_t)86401, RETRY_CAP * (tempo)) + 1)

/* tempo * 2^attempt, at most tempo * cap, then less up to a quarter by jitter (rnd: any random number).
 * Saturating: never below 3/4 tempo, whatever attempt is. */
int64_t retry_delay(int64_t tempo, unsigned attempt, int64_t cap, uint32_t rnd);
