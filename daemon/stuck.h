/* SPDX-License-Identifier: Apache-2.0 */
/* Looks now and then whether a domain is stuck (core/stuck.h), says so loudly, and wakes it. */
#pragma once

#include "daemon/app.h"

/* Looks from now on. */
void stuck_start(struct app *a);
/* Ends that; before the loop is drained for the last time. */
void stuck_stop(struct app *a);
/* Something happened to d. */
void stuck_progress(struct domain *d);
/* d is going away. */
void stuck_forget(struct domain *d);
/* One look at all domains, as the timer does it. */
void stuck_look_at_all(struct app *a);
