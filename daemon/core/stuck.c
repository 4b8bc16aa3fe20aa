/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/stuck.h"

static enum stuck_news begin_anew(struct stuck *s, const struct stuck_view *v, int64_t since_ms)
{
	enum stuck_news news = s->found ? STUCK_OVER : STUCK_NO_NEWS;

	*s = (struct stuck){
		.due_at = v->due_at, .since_ms = since_ms, .progress = v->progress, .busy = v->busy
	};
	return news;
}

enum stuck_news stuck_look(struct stuck *s, const struct stuck_view *v, int64_t now, int64_t mono_ms)
{
	if (!v->busy && v->due_at > now)
		return begin_anew(s, v, 0);
	if (s->since_ms == 0 || s->progress != v->progress || s->busy != v->busy ||
	    (!v->busy && s->due_at != v->due_at))
		return begin_anew(s, v, mono_ms);
	if (s->found || mono_ms - s->since_ms < (v->busy ? v->limit_ms : v->slack_ms))
		return STUCK_NO_NEWS;
	s->found = true;
	return STUCK_FOUND;
}
