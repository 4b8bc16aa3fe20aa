/* SPDX-License-Identifier: Apache-2.0 */
/* When a certificate is to be renewed. */
#pragma once

#include "common/base.h"

/* The moment: not_after - renew_before, delayed by a jitter below a tenth of renew_before that depends on seed (name and
 * serial) so that certificates of one day spread out. renew_before 0 = auto = a sixth of the
 * certificate's life; one that is not shorter than the life counts as auto. Later rather than earlier, because a plan of a year
 * is covered by two certificates of 199 days only if the second is not taken too early. */
int64_t window_renew_at(int64_t not_before, int64_t not_after, int64_t renew_before, uint64_t seed);
