/* SPDX-License-Identifier: Apache-2.0 */
/* Is a domain stuck? It is when something should have happened long ago and nothing does, or when what is under way has
 * neither ended nor been given up long after every time limit. Both are errors of ours. Pure.
 *
 * Judged by the monotonic clock, over several looks: a machine that slept or a clock that was set makes everything overdue
 * for a moment, and that is nobody's fault. */
#pragma once

#include "common/base.h"

/* What the last looks saw; all zero: nothing yet. */
struct stuck {
	int64_t due_at;
	int64_t since_ms; /* it has been waiting for the same thing since; 0: it does not wait */
	uint32_t progress;
	bool busy;
	bool found;
};

struct stuck_view {
	int64_t due_at;	   /* when something should happen, by its record; 0: at once */
	uint32_t progress; /* counts up with everything that happens to it */
	bool busy;	   /* something is under way */
	int64_t slack_ms;  /* how long after due_at it may begin */
	int64_t limit_ms;  /* how long what is under way may take */
};

enum stuck_news { STUCK_NO_NEWS, STUCK_FOUND, STUCK_OVER };

/* To be called now and then, at least twice within slack_ms. */
enum stuck_news stuck_look(struct stuck *s, const struct stuck_view *v, int64_t now, int64_t mono_ms);
