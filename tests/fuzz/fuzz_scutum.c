/* SPDX-License-Identifier: Apache-2.0 */
/* Any answer of Scutum (the first two bytes are the status, the rest is the body), and the same bytes as PEM texts of a
 * push: what is sent must be JSON whatever the files hold. */
#include "common/json.h"
#include "common/mem.h"
#include "daemon/deploy/scutum.h"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *s)
{
	for (; *s; s++)
		CHECK((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void check_encode(const char *text)
{
	const struct cfg_scutum_target target = { .host = "h", .id = "i" };
	const struct scutum_push p = { .target = &target, .cert = text, .key = text, .chain = text };
	struct strbuf sb = STRBUF_INIT(64UL * 1024 * 1024);
	_cleanup_(json_freep) struct json *j = NULL;

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c >= 0x7f)
			return; /* not PEM: invalid UTF-8 stays invalid */
	scutum_encode(&p, &sb);
	CHECK(strbuf_ok(&sb));
	CHECK(json_parse(strbuf_str(&sb), sb.len, sb.cap, &j, NULL) == 0);
	strbuf_done(&sb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome o;

	if (size < 2)
		return 0;

	_cleanup_free_ char *body = xmalloc(size - 2 + 1);

	memcpy(body, data + 2, size - 2);

	const struct http_result http = { .status = 100 + (data[0] * 256 + data[1]) % 500,
					  .body = body,
					  .body_len = size - 2,
					  .content_type = "",
					  .location = "",
					  .retry_after = "5",
					  .date = "" };

	memset(&o, 0x5a, sizeof(o));
	scutum_decode(&http, 1800000000, &o);
	CHECK(o.fault < FAULT_NR);
	check_line(o.code);
	check_line(o.message);
	check_encode(body);
	return 0;
}
