/* SPDX-License-Identifier: Apache-2.0 */
/* Which machine this is, and since when it is up. */
#pragma once

#include "common/base.h"

#define MACHINE_ID_LEN 32 /* hex digits */

/* /etc/machine-id, hashed for dvcertd as machine-id(5) asks for: it tells machines apart and gives nothing away. -errno where there is
 * none (some containers). */
int machine_id(char ret[MACHINE_ID_LEN + 1]) _must_check_;

/* A number of this boot; in a container that has boot ids of its own, of its start. 0: not known. */
uint64_t machine_boot(void);
