/* SPDX-License-Identifier: Apache-2.0 */
/* The header lines of one request, and what of them must not come back. */
#include "daemon/io/headers.h"

#include "common/mem.h"
#include "common/strbuf.h"

#include <string.h>

#define LINE_MAX_LEN (16UL * 1024)
#define STRIKE_MIN   8

static void list_add(struct curl_slist **list, const char *text)
{
	struct curl_slist *more = curl_slist_append(*list, text);

	if (!more)
		abort(); /* out of memory, see common/mem.h */
	*list = more;
}

static void list_wipe(struct curl_slist **list)
{
	for (struct curl_slist *i = *list; i; i = i->next)
		mem_wipe(i->data, strlen(i->data));
	curl_slist_free_all(*list);
	*list = NULL;
}

bool headers_add(struct headers *h, const char *name, const char *value, size_t len, bool is_secret)
{
	struct strbuf line = STRBUF_INIT(LINE_MAX_LEN);
	bool ok = false;

	strbuf_adds(&line, name);
	/* "Name:" would remove a header of libcurl's; ';' is how libcurl spells an empty value. */
	strbuf_adds(&line, len > 0 ? ": " : ";");
	strbuf_add(&line, value, len);
	ok = strbuf_ok(&line) && strcspn(strbuf_str(&line), "\r\n") == line.len; /* a NUL ends it too */
	if (ok)
		list_add(&h->lines, strbuf_str(&line));
	if (ok && is_secret)
		headers_hide(h, value);
	strbuf_wipe(&line);
	return ok;
}

void headers_add_line(struct headers *h, const char *line)
{
	list_add(&h->lines, line);
}

void headers_hide(struct headers *h, const char *secret)
{
	if (strlen(secret) >= STRIKE_MIN)
		list_add(&h->secrets, secret);
}

static void strike(char *text, size_t len, const char *what, size_t what_len)
{
	char *end = text + len;

	for (char *p = text; (p = memmem(p, (size_t)(end - p), what, what_len)); p += what_len)
		memset(p, '*', what_len);
}

/* Quotes and backslashes are what JSON changes in anything that a secret may hold, and slashes if it likes. */
static void escape(const char *secret, bool slashes, struct strbuf *sb)
{
	for (; *secret; secret++) {
		if (*secret == '"' || *secret == '\\' || (slashes && *secret == '/'))
			strbuf_addc(sb, '\\');
		strbuf_addc(sb, *secret);
	}
}

void headers_strike(const struct headers *h, char *text, size_t len)
{
	if (len == 0)
		return;
	for (const struct curl_slist *i = h->secrets; i; i = i->next) {
		strike(text, len, i->data, strlen(i->data));
		for (int slashes = 0; slashes < 2; slashes++) {
			struct strbuf escaped = STRBUF_INIT(2 * LINE_MAX_LEN);

			escape(i->data, slashes, &escaped);
			strike(text, len, strbuf_str(&escaped), escaped.len);
			strbuf_wipe(&escaped);
		}
	}
}

void headers_done(struct headers *h)
{
	list_wipe(&h->lines);
	list_wipe(&h->secrets);
}
