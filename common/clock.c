/* SPDX-License-Identifier: Apache-2.0 */
/* The real clock. The simulator links its own file with these three functions, so nothing else may
 * ever be added here. */
#include "common/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

int64_t clock_now(void)
{
	struct timespec ts = { 0 };

	if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
		abort();
	return ts.tv_sec;
}

int64_t clock_mono_ms(void)
{
	struct timespec ts = { 0 };

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		abort();
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void clock_random(void *buf, size_t len)
{
	unsigned char *p = buf;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		p += n;
		len -= (size_t)n;
	}
}
