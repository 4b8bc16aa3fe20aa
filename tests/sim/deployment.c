/* SPDX-License-Identifier: Apache-2.0 */
/* Targets beside Scutum: no scenario has one, so that whoever is asked here was asked by mistake. */
#include "common/mem.h"
#include "daemon/deploy/assist.h"
#include "daemon/deploy/verify.h"
#include "tests/sim/world.h"

struct verify {
	int unused;
};

int verify_new(_unused_ struct loop *l, struct verify **ret, _unused_ struct err *reterr)
{
	*ret = xmalloc(sizeof(**ret));
	return 0;
}

void verify_free(struct verify *v)
{
	free(v);
}

void verify_start(_unused_ struct verify *v, const struct verify_ask *ask, _unused_ verify_done_fn *done,
		  _unused_ void *owner, _unused_ struct verify_call **ret)
{
	world_violation("a look at %s was asked for, which is not simulated", ask->target->connect);
}

void verify_cancel(_unused_ struct verify_call **c)
{
}

void assist_start(_unused_ struct loop *l, const struct assist_ask *ask, _unused_ assist_done_fn *done,
		  _unused_ void *owner, _unused_ struct assist_call **ret)
{
	world_violation("the helper was asked for %s, which is not simulated", ask->target);
}

void assist_cancel(_unused_ struct assist_call **c)
{
}

char *assist_program(void)
{
	return xstrdup("/usr/libexec/dvcertd/dvcertd-helper");
}
