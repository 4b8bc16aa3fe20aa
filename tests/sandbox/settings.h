/* SPDX-License-Identifier: Apache-2.0 */
/* The switches of struct settings by name: GET and POST /sandbox/settings (with the rate windows), --set and
 * --generation. One table serves all of them. */
#pragma once

#include "common/err.h"

#include "tests/sandbox/request.h"
#include "tests/sandbox/state.h"

#include <stdio.h>

/* Both with the lock held. A mistake in the body is 400 and changes nothing. */
void settings_get(struct sandbox *sb, const struct request *rq, struct reply *rp);
void settings_post(struct sandbox *sb, const struct request *rq, struct reply *rp);

/* NAME=WORD or NAME=NUMBER, as --set takes it. 0, or -EINVAL with what is possible in *reterr. */
int settings_set_text(struct settings *set, const char *text, struct err *reterr) _must_check_;
/* Sets every word that has two generations to the older or the newer one. */
void settings_set_generation(struct settings *set, bool old);
/* One line for each setting, for --help. */
void settings_print(FILE *out);
