/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ops/machine.h"

#include <systemd/sd-id128.h>

#define DVCERTD SD_ID128_MAKE(5e, 0b, 61, 33, 0d, c5, 4e, 0f, 9b, 1c, 7a, 52, 86, d2, 3f, 48)

int machine_id(char ret[MACHINE_ID_LEN + 1])
{
	sd_id128_t id;
	int r = sd_id128_get_machine_app_specific(DVCERTD, &id);

	if (r < 0)
		return r;
	(void)sd_id128_to_string(id, ret);
	return 0;
}
