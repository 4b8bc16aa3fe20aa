/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that the daemon starts for its targets: hooks, and the helper where nobody listens on its socket. */
#pragma once

#include "daemon/io/child.h"

struct errand;

/* It begins; the program ends after *ret_ms. Fills r as far as it is known. The caller hands the errand back to one of these. NULL: it
 * could not be started. */
struct errand *helper_child(const struct child_spec *spec, struct child_result *r, int64_t *ret_ms);
/* It has ended: completes r. output: room for what it said. */
void helper_child_over(struct errand *e, struct child_result *r, char *output, size_t size);
void helper_child_killed(struct errand *e);
