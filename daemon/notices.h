/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a program of the administrator when a person should look: `notify` in the configuration. What happens to that program
 * is never anybody else's concern. */
#pragma once

#include "daemon/app.h"

/* The first round is soon. What was told before is read then; damage of it is harmless. */
int notices_open(struct app *a, struct err *reterr) _must_check_;
/* Ends a program that runs. */
void notices_close(struct app *a);
/* The state of a domain changed, or the configuration did: there will be a round. Cheap. */
void notices_look_soon(struct app *a);
/* How often the program was called for an event (its word in *ret_event), for better and for worse. */
void notices_calls(const struct app *a, unsigned event, const char **ret_event, uint64_t *ret_done,
		   uint64_t *ret_failed);
