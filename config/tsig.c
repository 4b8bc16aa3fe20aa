/* SPDX-License-Identifier: Apache-2.0 */
/* The key file of a DNS provider: what `tsig-keygen` prints, which is a `key` clause of named.conf, so that the same file
 * can be included by BIND. Comments are allowed, other clauses and a second key are not: which of two keys was meant
 * should not be a guess.
 *
 * No text here repeats anything from the file but names of well-known algorithms: a misplaced quote can make any word of
 * the file the secret. */
#include "config/tsig.h"

#include "common/mem.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX     65536
#define KEY_NAME_MAX 253
#define LABEL_MAX    63
#define SECRET_MAX                                                                                           \
	1024 /* base64; blocks of the digests are 64 and 128 bytes, more key than that adds nothing */
#define SECRET_MIN 22 /* base64 of 16 bytes: anything shorter can be guessed from one message */

enum kind { KIND_END, KIND_WORD, KIND_PUNCTUATION, KIND_BAD };

struct token {
	enum kind kind;
	const char *s; /* points into the text */
	size_t len;
	unsigned line;
	const char *problem; /* of KIND_BAD */
};

struct lexer {
	const char *p;
	const char *end;
	unsigned line;
};

/* --- words ----------------------------------------------------------------------------------------- */

static bool starts(const struct lexer *x, const char *what)
{
	size_t n = strlen(what);

	return (size_t)(x->end - x->p) >= n && memcmp(x->p, what, n) == 0;
}

static void skip_to_line_end(struct lexer *x)
{
	while (x->p < x->end && *x->p != '\n')
		x->p++;
}

/* False when a comment has no end. */
static bool skip_block(struct lexer *x)
{
	for (x->p += 2; x->p < x->end; x->p++) {
		if (starts(x, "*/")) {
			x->p += 2;
			return true;
		}
		if (*x->p == '\n')
			x->line++;
	}
	return false;
}

/* Blanks and the three kinds of comments that named.conf knows. */
static bool skip_blanks(struct lexer *x)
{
	while (x->p < x->end) {
		if (*x->p == '\n')
			x->line++;
		if (strchr(" \t\r\n", *x->p) && *x->p != '\0')
			x->p++;
		else if (*x->p == '#' || starts(x, "//"))
			skip_to_line_end(x);
		else if (!starts(x, "/*"))
			break;
		else if (!skip_block(x))
			return false;
	}
	return true;
}

static struct token bad(unsigned line, const char *problem)
{
	return (struct token){ .kind = KIND_BAD, .line = line, .problem = problem };
}

static struct token next_quoted(struct lexer *x)
{
	const char *start = ++x->p;

	while (x->p < x->end && *x->p != '"' && *x->p != '\n')
		x->p++;
	if (x->p == x->end || *x->p == '\n')
		return bad(x->line, "a quoted text has no end; add the missing \"");
	x->p++;
	return (struct token){ KIND_WORD, start, (size_t)(x->p - 1 - start), x->line, NULL };
}

static struct token next(struct lexer *x)
{
	unsigned line = x->line;
	const char *start = NULL;

	if (!skip_blanks(x))
		return bad(line, "a comment has no end; add the missing */");
	if (x->p == x->end)
		return (struct token){ .kind = KIND_END, .line = x->line };
	if (*x->p == '"')
		return next_quoted(x);
	start = x->p;
	if (strchr("{};", *start) && *start != '\0') {
		x->p++;
		return (struct token){ KIND_PUNCTUATION, start, 1, x->line, NULL };
	}
	while (x->p<x->end && * x->p> ' ' && *x->p < 0x7f && !strchr("{};\"", *x->p))
		x->p++;
	if (x->p == start)
		return bad(x->line, "has a control character or a letter beyond ASCII; "
				    "use the file as tsig-keygen printed it");
	return (struct token){ KIND_WORD, start, (size_t)(x->p - start), x->line, NULL };
}

static bool is_word(const struct token *t, const char *word)
{
	return t->kind == KIND_WORD && t->len == strlen(word) && strncasecmp(t->s, word, t->len) == 0;
}

static int expect(struct lexer *x, char c, const char *after, struct err *reterr)
{
	struct token t = next(x);

	if (t.kind == KIND_PUNCTUATION && *t.s == c)
		return 0;
	if (t.kind == KIND_BAD)
		return err_set(reterr, -EINVAL, "line %u: %s", t.line, t.problem);
	return err_set(reterr, -EINVAL, "line %u: \"%c\" is missing after %s", t.line, c, after);
}

static int expect_word(struct lexer *x, const char *what, struct token *ret, struct err *reterr)
{
	struct token t = next(x);

	if (t.kind == KIND_BAD)
		return err_set(reterr, -EINVAL, "line %u: %s", t.line, t.problem);
	if (t.kind != KIND_WORD)
		return err_set(reterr, -EINVAL, "line %u: %s is missing", t.line, what);
	*ret = t;
	return 0;
}

/* --- values ---------------------------------------------------------------------------------------- */

static int take_name(const struct token *t, char ret[256], struct err *reterr)
{
	size_t len = t->len > 0 && t->s[t->len - 1] == '.' ? t->len - 1 : t->len;
	size_t label = 0;

	if (len == 0 || len > KEY_NAME_MAX)
		return err_set(reterr, -EINVAL, "line %u: the key's name must have 1 to %d characters",
			       t->line, KEY_NAME_MAX);
	for (size_t i = 0; i < len; i++) {
		char c = t->s[i];

		label = c == '.' ? 0 : label + 1;
		if ((c == '.' && (i == 0 || t->s[i - 1] == '.')) || label > LABEL_MAX ||
		    !(isalnum((unsigned char)c) || strchr("-_.", c)) || !isascii(c) || c == '\0')
			return err_set(
				reterr, -EINVAL,
				"line %u: the key's name is not a DNS name (letters, digits, - _ and dots)",
				t->line);
		ret[i] = (char)tolower((unsigned char)c);
	}
	ret[len] = '\0';
	return 0;
}

static const struct {
	const char *name;
	const char *refusal; /* NULL: good */
} algorithms[] = {
	{ "hmac-sha256", NULL },
	{ "hmac-sha512", NULL },
	/* ldns 1.8.3 knows it by a misspelt name only, so nothing it signs is understood by others. */
	{ "hmac-sha384", "does not work with the DNS library of Debian 12" },
	{ "hmac-sha224", "is too weak" },
	{ "hmac-sha1", "is too weak" },
	{ "hmac-md5", "is too weak" },
	{ "hmac-md5.sig-alg.reg.int", "is too weak" },
};

static int take_algorithm(const struct token *t, char ret[32], struct err *reterr)
{
	struct token plain = *t;

	if (plain.len > 0 && plain.s[plain.len - 1] == '.')
		plain.len--;
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (!is_word(&plain, algorithms[i].name))
			continue;
		if (algorithms[i].refusal)
			return err_set(reterr, -EINVAL,
				       "line %u: %s %s; make a new key with tsig-keygen -a hmac-sha256, "
				       "here and on the DNS server",
				       t->line, algorithms[i].name, algorithms[i].refusal);
		(void)snprintf(ret, 32, "%s", algorithms[i].name);
		return 0;
	}
	return err_set(reterr, -EINVAL, "line %u: the algorithm must be hmac-sha256 or hmac-sha512", t->line);
}

/* RFC 4648 section 4, strictly: all quadruples full, padding at the end only. */
static bool is_base64(const char *s, size_t len)
{
	size_t data = len;

	while (data > 0 && len - data < 2 && s[data - 1] == '=')
		data--;
	if (len == 0 || len % 4 != 0)
		return false;
	for (size_t i = 0; i < data; i++)
		if (!isascii(s[i]) || !(isalnum((unsigned char)s[i]) || s[i] == '+' || s[i] == '/'))
			return false;
	return true;
}

static int take_secret(const struct token *t, struct secret **ret, struct err *reterr)
{
	if (t->len > SECRET_MAX)
		return err_set(reterr, -EINVAL, "line %u: the secret is longer than %d characters", t->line,
			       SECRET_MAX);
	if (!is_base64(t->s, t->len))
		return err_set(reterr, -EINVAL,
			       "line %u: the secret is not base64; copy it as tsig-keygen printed it",
			       t->line);
	if (t->len < SECRET_MIN)
		return err_set(
			reterr, -EINVAL,
			"line %u: the secret is shorter than 16 bytes; make a new key with tsig-keygen",
			t->line);
	*ret = secret_new(t->s, t->len);
	return 0;
}

/* --- the clause ------------------------------------------------------------------------------------ */

/* One `algorithm X;` or `secret X;`, whose first word was read already. */
static int take_statement(struct lexer *x, const struct token *word, struct tsig_key *k, struct err *reterr)
{
	bool algorithm = is_word(word, "algorithm");
	struct token value = { 0 };
	int r = 0;

	if (!algorithm && !is_word(word, "secret"))
		return err_set(reterr, -EINVAL,
			       "line %u: only \"algorithm\" and \"secret\" may stand in a key", word->line);
	if (algorithm ? k->algorithm[0] != '\0' : k->secret != NULL)
		return err_set(reterr, -EINVAL, "line %u: a second %s in one key", word->line,
			       algorithm ? "algorithm" : "secret");
	r = expect_word(x, algorithm ? "the algorithm's name" : "the secret", &value, reterr);
	if (r < 0)
		return r;
	r = expect(x, ';', algorithm ? "the algorithm" : "the secret", reterr);
	if (r < 0)
		return r;
	return algorithm ? take_algorithm(&value, k->algorithm, reterr)
			 : take_secret(&value, &k->secret, reterr);
}

static int take_body(struct lexer *x, struct tsig_key *k, struct err *reterr)
{
	for (;;) {
		struct token t = next(x);
		int r = 0;

		if (t.kind == KIND_BAD)
			return err_set(reterr, -EINVAL, "line %u: %s", t.line, t.problem);
		if (t.kind == KIND_PUNCTUATION && *t.s == '}')
			break;
		if (t.kind != KIND_WORD)
			return err_set(reterr, -EINVAL, "line %u: \"}\" is missing at the end of the key",
				       t.line);
		r = take_statement(x, &t, k, reterr);
		if (r < 0)
			return r;
	}
	if (k->algorithm[0] == '\0')
		return err_set(reterr, -EINVAL,
			       "line %u: the key has no algorithm; add \"algorithm hmac-sha256;\"", x->line);
	if (!k->secret)
		return err_set(reterr, -EINVAL, "line %u: the key has no secret", x->line);
	return 0;
}

static int take_clause(struct lexer *x, struct tsig_key *k, struct err *reterr)
{
	struct token t = next(x);
	int r = 0;

	if (t.kind == KIND_BAD)
		return err_set(reterr, -EINVAL, "line %u: %s", t.line, t.problem);
	if (!is_word(&t, "key"))
		return err_set(
			reterr, -EINVAL,
			"line %u: does not begin with \"key\"; expected a file as tsig-keygen prints it",
			t.line);
	r = expect_word(x, "the key's name", &t, reterr);
	if (r == 0)
		r = take_name(&t, k->name, reterr);
	if (r == 0)
		r = expect(x, '{', "the key's name", reterr);
	if (r == 0)
		r = take_body(x, k, reterr);
	if (r == 0)
		r = expect(x, ';', "\"}\"", reterr);
	if (r < 0)
		return r;
	t = next(x);
	if (t.kind == KIND_END)
		return 0;
	if (t.kind == KIND_BAD)
		return err_set(reterr, -EINVAL, "line %u: %s", t.line, t.problem);
	return err_set(reterr, -EINVAL, "line %u: %s", t.line,
		       is_word(&t, "key") ? "a second key; leave only the one to use"
					  : "nothing may follow the key");
}

int tsig_key_parse(const char *text, size_t len, struct tsig_key *ret, struct err *reterr)
{
	struct lexer x = { .p = text, .end = text + len, .line = 1 };
	struct tsig_key k = { 0 };
	int r = 0;

	if (len > FILE_MAX)
		return err_set(reterr, -EINVAL,
			       "line 1: the file is larger than 64 KiB; expected one TSIG key");
	r = take_clause(&x, &k, reterr);
	if (r < 0) {
		tsig_key_done(&k);
		return r;
	}
	*ret = k;
	return 0;
}

void tsig_key_done(struct tsig_key *k)
{
	secret_free(TAKE_PTR(k->secret));
	k->name[0] = '\0';
	k->algorithm[0] = '\0';
}

bool tsig_key_equal(const struct tsig_key *a, const struct tsig_key *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a->name, b->name) == 0 && strcmp(a->algorithm, b->algorithm) == 0 &&
	       secret_equal(a->secret, b->secret);
}
