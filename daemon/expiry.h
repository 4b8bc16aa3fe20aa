/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of certificates that come close to their end, or pass it, with nothing that replaces them. Does nothing about it: that is the
 * runner's, and goes on all the while. */
#pragma once

#include "daemon/app.h"

/* The installed certificate is closer to its end than half of the time that was meant for its renewal. */
bool expiry_is_near(const struct domain *d, int64_t now);
/* Writes records for all domains that it concerns; to be called every few minutes. What is said again is shown ever more rarely, every
 * six hours at least (common/repeats.h). */
void expiry_tell(const struct app *a);
