/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/seal.h"

#include "common/strbuf.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#define HEAD	",\n  \"check\": \""
#define DIGITS	16
#define TAIL	"\"\n}\n"
#define END_LEN (sizeof(HEAD) - 1 + DIGITS + sizeof(TAIL) - 1)

static uint64_t sum(const char *text, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++) {
		h ^= (unsigned char)text[i];
		h *= UINT64_C(0x100000001b3);
	}
	return h;
}

static void end_of(const char *text, size_t len, struct strbuf *ret)
{
	strbuf_addf(ret, HEAD "%016" PRIx64 TAIL, sum(text, len));
}

void seal_write(const struct json *doc, struct strbuf *sb)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT(sb->cap);

	json_write(doc, JSON_PRETTY, &text);
	if (!strbuf_ok(&text) || text.len < 4) {
		sb->failed = true;
		return;
	}
	assert(memcmp(text.data + text.len - 2, "\n}", 2) == 0);
	strbuf_add(sb, text.data, text.len - 2);
	end_of(text.data, text.len - 2, sb);
}

int seal_check(const char *text, size_t len, struct err *reterr)
{
	_cleanup_(strbuf_done) struct strbuf end = STRBUF_INIT(END_LEN);
	size_t body = len > END_LEN ? len - END_LEN : 0;

	if (body == 0 || memcmp(text + body, HEAD, sizeof(HEAD) - 1) != 0)
		return err_set(reterr, -EBADMSG, "its checksum (\"check\", the last line) is missing");
	end_of(text, body, &end);
	if (!strbuf_ok(&end) || memcmp(text + body, strbuf_str(&end), END_LEN) != 0)
		return err_set(reterr, -EBADMSG,
			       "its checksum is wrong: it was damaged, or changed by somebody else");
	return 0;
}
