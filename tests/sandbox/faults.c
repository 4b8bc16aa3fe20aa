/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/faults.h"

#include "common/mem.h"
#include "common/str.h"
#include "tests/sandbox/state.h"

#include <errno.h>

static const char *const kind_names[FAULT_KIND_NR] = {
	[FAULT_NONE] = "none",
	[FAULT_STATUS] = "status",
	[FAULT_DELAY] = "delay",
	[FAULT_DROP_BEFORE] = "drop-before",
	[FAULT_DROP_AFTER] = "drop-after",
	[FAULT_TRUNCATE] = "truncate",
	[FAULT_GARBAGE] = "garbage",
	[FAULT_WRONG_CERT] = "wrong-cert",
};

static const char *const variant_names[VARIANT_NR] = {
	[VARIANT_OTHER_KEY] = "other-key",
	[VARIANT_EXPIRED] = "expired",
	[VARIANT_OTHER_NAMES] = "other-names",
	[VARIANT_SELF_SIGNED] = "self-signed",
	[VARIANT_NO_CHAIN] = "no-chain",
	[VARIANT_ZIP] = "zip",
	[VARIANT_CA] = "ca",
};

static const char *const key_names[] = {
	"times", "status", "code", "message", "retry_after", "delay_ms", "variant", "skip",
};

const char *fault_kind_name(enum fault_kind k)
{
	return kind_names[k];
}

static int set_endpoint(struct fault *f, const char *word, struct err *reterr)
{
	enum sbx_endpoint ep = SBX_OTHER;
	if (!strcmp(word, "*")) {
		f->endpoint = -1;
		return 0;
	}
	if (sbx_endpoint_parse(word, &ep) < 0)
		return err_set(reterr, -EINVAL, "unknown endpoint '%s'", word);
	f->endpoint = (int)ep;
	return 0;
}

static int set_kind(struct fault *f, const char *word, struct err *reterr)
{
	for (int k = FAULT_NONE + 1; k < FAULT_KIND_NR; k++) {
		if (!strcmp(word, kind_names[k])) {
			f->kind = (enum fault_kind)k;
			return 0;
		}
	}
	return err_set(reterr, -EINVAL, "unknown kind of fault '%s'", word);
}

static int set_variant(struct fault *f, const char *word, struct err *reterr)
{
	for (int v = 0; v < VARIANT_NR; v++) {
		if (!strcmp(word, variant_names[v])) {
			f->variant = (enum fault_variant)v;
			return 0;
		}
	}
	return err_set(reterr, -EINVAL, "unknown variant '%s'", word);
}

static void replace(char **field, const char *val)
{
	free(*field);
	*field = xstrdup(val);
}

static int set_word(struct fault *f, const char *key, const char *val, struct err *reterr)
{
	if (!strcmp(key, "code"))
		replace(&f->code, val);
	else if (!strcmp(key, "message"))
		replace(&f->message, val);
	else if (!strcmp(key, "retry_after"))
		replace(&f->retry_after, val);
	else if (!strcmp(key, "variant"))
		return set_variant(f, val, reterr);
	else
		return err_set(reterr, -EINVAL, "'%s' must be a number", key);
	return 0;
}

static int set_number(struct fault *f, const char *key, int64_t val, struct err *reterr)
{
	static const struct {
		const char *key;
		size_t offset;
		int64_t min, max;
	} table[] = {
		{ "times", offsetof(struct fault, times), 0, INT32_MAX },
		{ "skip", offsetof(struct fault, skip), 0, INT32_MAX },
		{ "status", offsetof(struct fault, status), 200, 599 },
		{ "delay_ms", offsetof(struct fault, delay_ms), 0, 3600000 },
	};
	if (!strcmp(key, "retry_after")) {
		free(f->retry_after);
		f->retry_after = xasprintf("%lld", (long long)val);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(key, table[i].key) != 0)
			continue;
		if (val < table[i].min || val > table[i].max)
			return err_set(reterr, -EINVAL, "'%s' is out of range", key);
		memcpy((char *)f + table[i].offset, &val, sizeof(val));
		return 0;
	}
	return err_set(reterr, -EINVAL, "'%s' must be a string", key);
}

static int check_key(const char *key, struct err *reterr)
{
	for (size_t i = 0; i < ARRAY_SIZE(key_names); i++)
		if (!strcmp(key, key_names[i]))
			return 0;
	const char *near = str_suggest(key, key_names, ARRAY_SIZE(key_names));
	if (near)
		return err_set(reterr, -EINVAL, "unknown key '%s' (did you mean '%s'?)", key, near);
	return err_set(reterr, -EINVAL, "unknown key '%s'", key);
}

static int check_whole(const struct fault *f, struct err *reterr)
{
	if (f->kind == FAULT_WRONG_CERT && f->endpoint != SBX_DOWNLOAD && f->endpoint != -1)
		return err_set(reterr, -EINVAL, "wrong-cert is for the endpoint 'download' only");
	if (f->retry_after)
		for (const char *p = f->retry_after; *p; p++)
			if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
				return err_set(reterr, -EINVAL, "'retry_after' cannot stand in a header");
	return 0;
}

static const struct fault fault_default = { .endpoint = -1, .times = 1, .status = 503 };

/* One `key=value`; numbers are told from words by the key. */
static int parse_pair(struct fault *f, const char *part, struct err *reterr)
{
	const char *eq = strchr(part, '=');
	if (!eq)
		return err_set(reterr, -EINVAL, "'%s' is not key=value", part);
	_cleanup_free_ char *key = xstrndup(part, (size_t)(eq - part));
	int r = check_key(key, reterr);
	if (r < 0)
		return r;
	if (!strcmp(key, "code") || !strcmp(key, "message") || !strcmp(key, "variant") ||
	    !strcmp(key, "retry_after"))
		return set_word(f, key, eq + 1, reterr);
	uint64_t val = 0;
	if (str_parse_u64(eq + 1, &val) < 0 || val > INT32_MAX)
		return err_set(reterr, -EINVAL, "'%s' must be a number", key);
	return set_number(f, key, (int64_t)val, reterr);
}

int fault_parse_text(const char *text, struct fault *ret, struct err *reterr)
{
	struct fault f = fault_default;
	_cleanup_free_ char *copy = xstrdup(text);
	int r = 0;
	size_t i = 0;
	for (char *rest = copy, *part = strsep(&rest, ":"); part && r == 0; part = strsep(&rest, ":"), i++) {
		if (i == 0)
			r = set_endpoint(&f, part, reterr);
		else if (i == 1)
			r = set_kind(&f, part, reterr);
		else
			r = parse_pair(&f, part, reterr);
	}
	if (r == 0 && i < 2)
		r = err_set(reterr, -EINVAL, "a fault is ENDPOINT:KIND[:key=value]...");
	if (r == 0)
		r = check_whole(&f, reterr);
	if (r < 0) {
		fault_done(&f);
		return r;
	}
	*ret = f;
	return 0;
}

struct member_arg {
	const struct json *obj;
	struct fault *f;
	struct err *reterr;
	unsigned seen; /* 1 endpoint, 2 kind */
};

static int parse_member(const char *key, const struct json *val, void *arg)
{
	struct member_arg *a = arg;
	const char *word = json_str(val);
	if (!strcmp(key, "endpoint") || !strcmp(key, "kind")) {
		bool kind = key[0] == 'k';
		a->seen |= kind ? 2 : 1;
		if (!word)
			return err_set(a->reterr, -EINVAL, "'%s' must be a string", key);
		return kind ? set_kind(a->f, word, a->reterr) : set_endpoint(a->f, word, a->reterr);
	}
	int r = check_key(key, a->reterr);
	if (r < 0)
		return r;
	if (word)
		return set_word(a->f, key, word, a->reterr);
	if (json_type(val) != JSON_INT)
		return err_set(a->reterr, -EINVAL, "'%s' has the wrong type", key);
	int64_t number = 0;
	r = json_get_i64(a->obj, key, &number);
	if (r < 0)
		return err_set(a->reterr, -EINVAL, "'%s' is out of range", key);
	return set_number(a->f, key, number, a->reterr);
}

int fault_parse_json(const struct json *j, struct fault *ret, struct err *reterr)
{
	struct fault f = fault_default;
	struct member_arg arg = { .obj = j, .f = &f, .reterr = reterr };
	int r = json_each(j, parse_member, &arg);
	if (r == 0 && arg.seen != 3)
		r = err_set(reterr, -EINVAL, "'endpoint' and 'kind' are needed");
	if (r == 0)
		r = check_whole(&f, reterr);
	if (r < 0) {
		fault_done(&f);
		return r;
	}
	*ret = f;
	return 0;
}

void fault_done(struct fault *f)
{
	free(f->code);
	free(f->message);
	free(f->retry_after);
	*f = (struct fault){ 0 };
}

void faults_add(struct fault_list *l, struct fault *f)
{
	struct fault *slot = SBX_GROW(l->f, l->n);
	*slot = *f;
	*f = (struct fault){ 0 };
}

void faults_clear(struct fault_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		fault_done(&l->f[i]);
	free(l->f);
	*l = (struct fault_list){ 0 };
}

static bool matches(const struct fault *f, int endpoint)
{
	if (f->kind == FAULT_WRONG_CERT && endpoint != SBX_DOWNLOAD)
		return false;
	return f->endpoint == -1 || f->endpoint == endpoint;
}

static struct fault copy_of(const struct fault *f)
{
	struct fault c = *f;
	c.code = xstrdup_opt(f->code);
	c.message = xstrdup_opt(f->message);
	c.retry_after = xstrdup_opt(f->retry_after);
	return c;
}

struct fault faults_take(struct fault_list *l, int endpoint)
{
	for (size_t i = 0; i < l->n; i++) {
		struct fault *f = &l->f[i];
		if (!matches(f, endpoint))
			continue;
		if (f->skip > 0) {
			f->skip--;
			continue;
		}
		struct fault taken = copy_of(f);
		if (f->times > 0 && --f->times == 0) {
			fault_done(f);
			memmove(f, f + 1, (l->n - i - 1) * sizeof(*f));
			l->n--;
		}
		return taken;
	}
	return (struct fault){ 0 };
}

struct json *faults_to_json(const struct fault_list *l)
{
	struct json *arr = json_new_arr();
	for (size_t i = 0; i < l->n; i++) {
		const struct fault *f = &l->f[i];
		struct json *o = json_new_obj();
		json_set_str(o, "endpoint",
			     f->endpoint < 0 ? "*" : sbx_endpoint_name((enum sbx_endpoint)f->endpoint));
		json_set_str(o, "kind", kind_names[f->kind]);
		json_set_i64(o, "times", f->times);
		json_set_i64(o, "skip", f->skip);
		json_add(arr, o);
	}
	struct json *all = json_new_obj();
	json_set(all, "faults", arr);
	return all;
}
