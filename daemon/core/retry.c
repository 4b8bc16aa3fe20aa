/* SPDX-License-Identifier: Apache-2.0 */
/* Back-off arithmetic. Saturates instead of overflowing: mod_md's counter once wrapped to zero and turned
 * a month of failures into an endless stream of requests (CVE-2025-55753). */
#include "daemon/core/retry.h"

int64_t retry_delay(int64_t tempo, unsigned attempt, int64_t cap, uint32_t rnd)
{
	int64_t factor = attempt >= 30 ? cap : (int64_t)1 << attempt;
	int64_t delay;

	if (factor > cap)
		factor = cap;
	delay = tempo * factor;
	return delay - delay / 4 * (int64_t)(rnd % 1024) / 1024;
}
