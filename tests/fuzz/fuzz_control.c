/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the control socket: whatever a peer writes is a request or a text that says why not. */
#include "daemon/ops/control.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void never(_unused_ struct control_request *rq, _unused_ void *arg)
{
	abort();
}

static const struct control_verb verbs[] = {
	{ "status", never, false }, { "show", never, true },	{ "renew", never, false },
	{ "wait", never, true },    { "reload", never, false },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct control_query q = { 0 };
	struct err err = ERR_INIT;

	if (control_parse((const char *)data, len, verbs, ARRAY_SIZE(verbs), &q, &err) < 0) {
		assert(err.text[0] != '\0' && !strchr(err.text, '\n') && !q.args);
		return 0;
	}
	assert(q.args && q.verb);
	assert(!q.verb->needs_names || json_arr_len(q.names) > 0);
	for (size_t i = 0; i < json_arr_len(q.names); i++)
		assert(json_str(json_arr_at(q.names, i))[0] != '\0');
	json_free(q.args);
	return 0;
}
