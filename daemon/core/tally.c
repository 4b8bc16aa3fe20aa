/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/tally.h"

#include "common/mem.h"

/* Where it is, or belongs. */
static size_t place_of(const struct tally *t, unsigned kind, int code)
{
	size_t i = 0;

	while (i < t->n && (t->rows[i].kind < kind || (t->rows[i].kind == kind && t->rows[i].code < code)))
		i++;
	return i;
}

static bool is_at(const struct tally *t, size_t i, unsigned kind, int code)
{
	return i < t->n && t->rows[i].kind == kind && t->rows[i].code == code;
}

void tally_add(struct tally *t, unsigned kind, int code)
{
	size_t i = place_of(t, kind, code);

	if (!is_at(t, i, kind, code) && t->n >= TALLY_MAX) {
		code = TALLY_OTHER;
		i = place_of(t, kind, code);
	}
	if (!is_at(t, i, kind, code)) {
		t->rows = xrealloc_array(t->rows, t->n + 1, sizeof(*t->rows));
		memmove(&t->rows[i + 1], &t->rows[i], (t->n - i) * sizeof(*t->rows));
		t->rows[i] = (struct tally_row){ .kind = kind, .code = code };
		t->n++;
	}
	t->rows[i].n++;
}

void tally_done(struct tally *t)
{
	free(t->rows);
	*t = (struct tally){ 0 };
}
