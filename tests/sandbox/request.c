/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/request.h"

#include "common/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <strings.h>

#define REPLY_BODY_MAX (64 * 1024 * 1024)

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *p = c ? strchr(digits, c | 0x20) : NULL;
	return p ? (int)(p - digits) : -1;
}

/* Percent-decodes; plus is a blank in queries only. NULL when broken or when a NUL is inside. */
static char *decode(const char *s, size_t len, bool plus)
{
	_cleanup_free_ char *out = xmalloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '%') {
			out[n++] = plus && s[i] == '+' ? ' ' : s[i];
			continue;
		}
		int hi = len - i > 2 ? hex_digit(s[i + 1]) : -1;
		int lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;
		if (lo < 0 || (hi == 0 && lo == 0))
			return NULL;
		out[n++] = (char)(hi * 16 + lo);
		i += 2;
	}
	return TAKE_PTR(out);
}

static int add_pair(struct request *rq, const char *s, size_t len)
{
	if (len == 0)
		return 0;
	if (rq->n_query == REQUEST_QUERY_MAX)
		return -EBADMSG;
	const char *eq = memchr(s, '=', len);
	size_t key_len = eq ? (size_t)(eq - s) : len;
	_cleanup_free_ char *key = decode(s, key_len, true);
	_cleanup_free_ char *val = eq ? decode(eq + 1, len - key_len - 1, true) : xstrdup("");
	if (!key || !val)
		return -EBADMSG;
	rq->query[rq->n_query++] = (struct request_pair){ .key = TAKE_PTR(key), .val = TAKE_PTR(val) };
	return 0;
}

static int split_path(struct request *rq, const char *path, size_t len)
{
	if (len == 0 || path[0] != '/')
		return -EBADMSG;
	for (size_t at = 1; at <= len;) {
		size_t end = at;
		while (end < len && path[end] != '/')
			end++;
		if (rq->n_segments == REQUEST_SEGMENTS_MAX)
			return -EBADMSG;
		char *segment = decode(path + at, end - at, false);
		if (!segment)
			return -EBADMSG;
		rq->segment[rq->n_segments++] = segment;
		at = end + 1;
	}
	return 0;
}

int request_set_uri(struct request *rq, const char *uri)
{
	rq->uri = xstrdup(uri);
	size_t path_len = strcspn(uri, "?");
	int r = split_path(rq, uri, path_len);
	const char *p = uri + path_len;
	while (r == 0 && *p) {
		p++; /* '?' or '&' */
		size_t len = strcspn(p, "&");
		r = add_pair(rq, p, len);
		p += len;
	}
	return r;
}

void request_done(struct request *rq)
{
	free(rq->method);
	free(rq->uri);
	for (size_t i = 0; i < rq->n_segments; i++)
		free(rq->segment[i]);
	for (size_t i = 0; i < rq->n_query; i++) {
		free(rq->query[i].key);
		free(rq->query[i].val);
	}
	mem_wipe_free(rq->api_key);
	mem_wipe_free(rq->scutum_key);
	free(rq->content_type);
	strbuf_wipe(&rq->body);
	fault_done(&rq->fault);
}

const char *request_query(const struct request *rq, const char *key)
{
	for (size_t i = 0; i < rq->n_query; i++)
		if (!strcmp(rq->query[i].key, key))
			return rq->query[i].val;
	return NULL;
}

bool request_is_json(const struct request *rq)
{
	const char *want = "application/json";
	if (!rq->content_type || strncasecmp(rq->content_type, want, strlen(want)) != 0)
		return false;
	const char *rest = rq->content_type + strlen(want);
	rest += strspn(rest, " \t");
	return *rest == '\0' || *rest == ';';
}

void reply_done(struct reply *rp)
{
	free(rp->body);
	free(rp->retry_after);
	*rp = (struct reply){ 0 };
}

void reply_bytes(struct reply *rp, unsigned status, const char *content_type, const void *data, size_t len)
{
	free(rp->body);
	rp->status = status;
	rp->content_type = content_type;
	rp->body = xmemdup(data, len);
	rp->len = len;
}

void reply_json(struct reply *rp, unsigned status, struct json *j)
{
	struct strbuf plain = STRBUF_INIT(REPLY_BODY_MAX / 2);
	json_write(j, 0, &plain);
	json_free(j);
	struct strbuf out = STRBUF_INIT(REPLY_BODY_MAX);
	const char *p = strbuf_str(&plain);
	for (const char *slash = strchr(p, '/'); slash; slash = strchr(p, '/')) {
		strbuf_add(&out, p, (size_t)(slash - p));
		strbuf_adds(&out, "\\/");
		p = slash + 1;
	}
	strbuf_adds(&out, p);
	free(rp->body);
	rp->status = status;
	rp->content_type = "application/json";
	rp->len = out.len;
	rp->body = strbuf_take(&out);
	strbuf_done(&plain);
}

int reply_error(struct reply *rp, unsigned status, const char *code, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct json *e = json_new_obj();
	json_set_str(e, "code", code);
	json_set_str(e, "message", text);
	struct json *arr = json_new_arr();
	json_add(arr, e);
	struct json *all = json_new_obj();
	json_set(all, "errors", arr);
	reply_json(rp, status, all);
	return -1;
}
