/* SPDX-License-Identifier: Apache-2.0 */
/* Lines to dvcertd-helper, which is root: whatever a peer writes names a domain and a target, or is refused with a sentence. */
#include "daemon/helper/request.h"

#include "common/str.h"
#include "config/names.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct request rq = { 0 };
	struct err err = ERR_INIT;
	struct strbuf answer = STRBUF_INIT(REQUEST_MAX);

	if (request_parse((const char *)data, len, &rq, &err) < 0) {
		assert(err.text[0] != '\0' && !strchr(err.text, '\n') && !rq.name && !rq.target);
		answer_write(ANSWER_REFUSED, err.text, &answer);
		assert(strbuf_ok(&answer) &&
		       strchr(strbuf_str(&answer), '\n') == answer.data + answer.len - 1);
		strbuf_done(&answer);
		return 0;
	}
	assert(len <= REQUEST_MAX && name_is_safe_dir(rq.name));
	assert(str_has_prefix(rq.target, rq.verb == REQUEST_FILES ? "files" : "reload"));
	assert((rq.verb == REQUEST_FILES) == (rq.generation > 0));
	request_done(&rq);
	return 0;
}
