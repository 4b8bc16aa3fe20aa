/* SPDX-License-Identifier: Apache-2.0 */
/* GET and POST /sandbox/settings: the switches of struct settings by name, and the rate windows. */
#pragma once

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

/* Both with the lock held. A mistake in the body is 400 and changes nothing. */
void settings_get(struct sandbox *sb, const struct request *rq, struct reply *rp);
void settings_post(struct sandbox *sb, const struct request *rq, struct reply *rp);
