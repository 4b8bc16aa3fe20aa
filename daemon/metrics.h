/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitoring system reads: on a socket whenever it asks, in a file after something changed. */
#pragma once

#include "daemon/app.h"

/* Brings up what the configuration asks for. A socket that cannot be had is logged and left out: certificates are renewed
 * whether anybody watches or not. */
int metrics_open(struct app *a, struct err *reterr) _must_check_;
/* Before the loop is drained for the last time. */
void metrics_close(struct app *a);
/* Something that is shown has changed: the file follows soon. Cheap. */
void metrics_changed(struct app *a);
