/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/io/child.h: whose program it is decides what becomes of it (dns.c, helper.c). */
#include "tests/sim/programs.h"

#include <string.h>

#include "common/mem.h"
#include "tests/sim/disk.h"
#include "tests/sim/helper.h"
#include "tests/sim/world.h"

struct child {
	struct event *event;
	struct child_result result;
	child_done_fn *done;
	void *owner;
	bool is_dns;
	struct errand *errand;
	char output[CHILD_OUTPUT_MAX + 1];
};

static void child_over(void *arg)
{
	struct child *c = arg;

	c->event = NULL;
	if (!c->is_dns)
		helper_child_over(c->errand, &c->result, c->output, sizeof(c->output));
	c->done(&c->result, c->owner);
	free(c);
}

void child_start(_unused_ struct loop *l, const struct child_spec *spec, child_done_fn *done, void *owner,
		 struct child **ret)
{
	struct child *c = xmalloc(sizeof(*c));
	int64_t ms = 0;

	*c = (struct child){ .result.output = "", .done = done, .owner = owner };
	c->is_dns = strcmp(spec->label, "dns.exec") == 0;
	if (c->is_dns) {
		ms = dns_program(spec, &c->result);
	} else {
		disk_point();
		c->errand = helper_child(spec, &c->result, &ms);
	}
	c->event = world_after(OWNER_DAEMON, ms, child_over, c);
	if (ret)
		*ret = c;
}

int child_check(_unused_ const char *program)
{
	return 0;
}

void child_cancel(struct child **c)
{
	struct child *mine = TAKE_PTR(*c);

	if (!mine || !mine->event)
		return;
	world_drop(&mine->event);
	helper_child_killed(mine->errand);
	free(mine);
}
