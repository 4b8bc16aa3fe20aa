/* SPDX-License-Identifier: Apache-2.0 */
/* One domain that the process dies of must not take the others down with it. Which one it was, io/blame.h says; the counts are kept in
 * state/crashes, one line each ("COUNT TIME NAME"). The third within a day sets the domain aside: held with the code "crashes", nothing
 * at all is done for it until `dvcertctl renew`. */
#pragma once

#include "daemon/app.h"

/* Before any record is read: learns what the last run died of, and counts it durably. */
void crashes_begin(struct app *a);
/* Does reading this domain's state end the process, so that it must not be tried again? */
bool crashes_when_read(const struct app *a, const char *name);
/* For whoever is about to read it: the name to blame then. The caller frees. */
char *crashes_reader(const char *name);
/* Sets r aside when its time has come: true when that changed it. */
bool crashes_judge(const struct app *a, struct record *r);
/* What was set aside is on disk: it starts from zero when a person releases it. */
void crashes_end(struct app *a);

/* Was it set aside? Then not even its duties are done. */
bool crashes_is_aside(const struct record *r);
