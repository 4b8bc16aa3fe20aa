/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/life.h"

#include <setjmp.h>
#include <sysexits.h>

#include "common/log.h"
#include "daemon/app.h"
#include "tests/sim/disk.h"
#include "tests/sim/judge.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

static struct {
	sigjmp_buf back;
	bool on;
	volatile int code;
} life;

bool life_is_on(void)
{
	return life.on;
}

void life_crash(enum life_end how)
{
	siglongjmp(life.back, (int)how + 1);
}

void life_exit(int code)
{
	life.code = code;
	siglongjmp(life.back, (int)LIFE_ENDED + 1);
}

enum life_end life_run(const char *config_file, int *ret_code)
{
	int r = sigsetjmp(life.back, 0);

	if (r == 0) {
		disk_life_begins();
		life.on = true;
		life.code = app_run(config_file);
		r = (int)LIFE_ENDED + 1;
	}
	life.on = false;
	judge_time_forget();
	world_drop_daemon();
	net_forget_daemon();
	disk_close_all();
	*ret_code = life.code;
	return (enum life_end)(r - 1);
}
