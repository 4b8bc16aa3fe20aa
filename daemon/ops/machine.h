/* SPDX-License-Identifier: Apache-2.0 */
/* Which machine this is. */
#pragma once

#include "common/base.h"

#define MACHINE_ID_LEN 32 /* hex digits */

/* /etc/machine-id, hashed for dvcertd as machine-id(5) asks for: it tells machines apart and gives nothing away. -errno where there is
 * none (some containers). */
int machine_id(char ret[MACHINE_ID_LEN + 1]) _must_check_;
