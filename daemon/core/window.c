/* SPDX-License-Identifier: Apache-2.0 */
/* The renewal moment, from the certificate's own dates: caps of the industry change, X.509 does not lie. */
#include "daemon/core/window.h"

int64_t window_renew_at(int64_t not_before, int64_t not_after, int64_t renew_before, uint64_t seed)
{
	int64_t life = not_after - not_before;
	int64_t before = renew_before, jitter;

	if (life <= 0)
		return not_before;
	if (before <= 0 || before >= life)
		before = life / 6;
	jitter = before / 10 > 0 ? (int64_t)(seed % (uint64_t)(before / 10)) : 0;
	return not_after - before + jitter;
}
