/* SPDX-License-Identifier: Apache-2.0 */
/* The first steps of `dvcertctl doctor`, which need no daemon: the configuration on disk, and whether the daemon is there. The others are the
 * daemon's (daemon/doctor.h). */
#pragma once

#include "common/err.h"
#include "common/json.h"

/* What is known before the steps begin. */
struct doctor_front {
	const char *name;	 /* of the domain; NULL: only what concerns all */
	const char *config_file; /* NULL: that of the daemon, else the default one */
	struct json *answer;	 /* the daemon's, with "ok": true; NULL: there is none. Taken */
	const char *absence;	 /* why there is none */
	bool denied;		 /* it is there and does not talk to us */
};

/* The whole answer, for render_doctor() and --json: {name, steps, first_broken, remedy, result, api_requests}; 0, or 1 when a step is broken.
 * Reads the configuration, and asks systemctl how the daemon ended when it is not there. */
int doctor_complete(struct doctor_front *f, struct json **ret);
