/* SPDX-License-Identifier: Apache-2.0 */
#include "common/repeats.h"

#include <pthread.h>
#include <string.h>

/* A power of two; 64 kB. */
#define N_SERIES 1024
/* FNV-1a */
#define START UINT64_C(14695981039346656037)
#define PRIME UINT64_C(1099511628211)
/* So short a pause is none, however fast the first two came. */
#define PAUSE_MIN_S 60

struct series {
	uint64_t key;  /* event, context, message; 0: free */
	uint64_t name; /* the domain */
	uint64_t n;
	int64_t first_at;
	int64_t last_at;
	int64_t gap_s; /* between the last two */
	int64_t shown_at;
};

static struct series table[N_SERIES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The end of a text counts too, so that two texts never run together. */
static uint64_t add_text(uint64_t h, const char *s)
{
	for (;; s++) {
		h = (h ^ (unsigned char)*s) * PRIME;
		if (*s == '\0')
			return h;
	}
}

/* "attempt 3" and "attempt 4", or two times of day, are the same message. */
static uint64_t add_message(uint64_t h, const char *s)
{
	bool in_number = false;

	for (; *s; s++) {
		bool digit = *s >= '0' && *s <= '9';

		if (!digit || !in_number)
			h = (h ^ (unsigned char)(digit ? '0' : *s)) * PRIME;
		in_number = digit;
	}
	return h;
}

static uint64_t key_of(const struct log_msgid *id, const struct log_ctx *ctx, const char *message,
		       uint64_t *ret_name)
{
	uint64_t h = add_message(add_text(START, id->uuid), message);

	*ret_name = 0;
	for (; ctx; ctx = ctx->up) {
		if (!ctx->key || !ctx->val)
			continue;
		h = add_text(add_text(h, ctx->key), ctx->val);
		if (strcmp(ctx->key, "DVCERT_NAME") == 0)
			*ret_name = add_text(START, ctx->val);
	}
	return h ? h : 1;
}

/* Whatever went wrong for this domain before belongs to the past. */
static void forget_name(uint64_t name)
{
	for (size_t i = 0; i < N_SERIES; i++) {
		if (table[i].key && table[i].name == name)
			table[i].key = 0;
	}
}

static bool goes_on(const struct series *s, uint64_t key, int64_t now)
{
	int64_t pause_s = now - s->last_at;

	return s->key == key && pause_s >= 0 &&
	       (s->n < 2 || pause_s <= PAUSE_MIN_S || pause_s <= 4 * s->gap_s);
}

static bool is_power_of_two(uint64_t n)
{
	return (n & (n - 1)) == 0;
}

static struct repeats_verdict judge(struct series *s, int64_t now)
{
	struct repeats_verdict v = { .n = ++s->n, .first_at = s->first_at };

	s->gap_s = now - s->last_at;
	s->last_at = now;
	v.show = is_power_of_two(s->n) || now - s->shown_at >= REPEATS_SHOW_S;
	if (v.show)
		s->shown_at = now;
	return v;
}

struct repeats_verdict repeats_judge(const struct log_msgid *id, const struct log_ctx *ctx,
				     const char *message, int64_t now)
{
	struct repeats_verdict v = { .show = true, .n = 1, .first_at = now };
	uint64_t key, name;
	struct series *s;

	if (!id)
		return v;
	key = key_of(id, ctx, message, &name);
	s = &table[key % N_SERIES];
	(void)pthread_mutex_lock(&lock);
	if (id->is_news)
		forget_name(name);
	if (!goes_on(s, key, now))
		*s = (struct series){ .key = key, .name = name, .first_at = now, .last_at = now };
	v = judge(s, now);
	(void)pthread_mutex_unlock(&lock);
	return v;
}

void repeats_forget(void)
{
	(void)pthread_mutex_lock(&lock);
	memset(table, 0, sizeof(table));
	(void)pthread_mutex_unlock(&lock);
}
