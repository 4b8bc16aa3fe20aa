/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the DNS providers. */
#pragma once

#include "daemon/io/child.h"

/* It begins; the program ends after so many milliseconds, as r says. */
int64_t dns_program(const struct child_spec *spec, struct child_result *r);
