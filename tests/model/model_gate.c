/* SPDX-License-Identifier: Apache-2.0 */
/* Every reachable state of two domains that ask the CA with one API key: the shipped queue and rate windows, requests and answers
 * that are late or lost, 429, calls that are given up, and crashes. The judge is the CA, which counts what arrives.
 * tests/model/README.md says what is modelled and what is not. */
#include "daemon/certcentral/internal.h"
#include "daemon/core/rates.h"
#include "tests/model/model_graph.h"

#include <assert.h>

#define UNIT_MS 1000
#define NOW_MS	INT64_C(1000000000)
#define KNOWN	8

enum { CALL_NONE, CALL_QUEUED, CALL_LEFT, CALL_ARRIVED };

/* Of two domains, A is the more urgent one. */
struct g_state {
	uint8_t call[2];
	uint8_t needs[2];     /* answers that it still needs */
	uint8_t b_was_first;  /* in the queue */
	uint8_t ended[KNOWN]; /* what the windows remember: 0 none, else 1 + age in units; the oldest first */
	uint8_t seen[KNOWN];  /* the same, as the CA has counted */
	uint8_t told;	      /* so many of them were recalled after a crash */
	uint8_t stop;	      /* units for which the key rests after a 429 */
	uint8_t faults;
};

struct g_setup {
	const char *name;
	struct rates_limit limits[2];
	size_t n_limits;
	uint8_t needs;
	uint8_t max_faults;
};

struct g_search {
	struct graph g;
	const struct g_setup *p;
};

/* --- the trace of a violation --- */

static void print_ages(const char *label, const uint8_t ages[KNOWN])
{
	printf(" %s", label);
	for (unsigned i = 0; i < KNOWN && ages[i]; i++)
		printf(" -%u", ages[i] - 1u);
}

static void print_gate(const struct g_state *s)
{
	static const char *const CALLS[] = { "idle", "queued", "left", "arrived" };

	for (unsigned i = 0; i < 2; i++)
		printf("    %c %s, needs %u;", 'A' + (int)i, CALLS[s->call[i]], s->needs[i]);
	print_ages("ended", s->ended);
	print_ages("; the CA saw", s->seen);
	printf("; stop %u\n", s->stop);
}

static void print_trace(const struct graph *g, uint32_t i)
{
	if (g->nodes[i].parent != NOBODY)
		print_trace(g, g->nodes[i].parent);
	printf("  %s\n", g->nodes[i].label);
	print_gate(graph_state(g, i));
}

_noreturn_ static void violation(const struct g_search *x, uint32_t at, const char *label,
				 const struct g_state *s, const char *what)
{
	print_trace(&x->g, at);
	if (label) {
		printf("  %s\n", label);
		print_gate(s);
	}
	printf("model_gate: VIOLATION in world \"%s\": %s\n", x->p->name, what);
	exit(1);
}

/* --- ages --- */

static uint8_t ages_count(const uint8_t ages[KNOWN])
{
	uint8_t n = 0;

	while (n < KNOWN && ages[n])
		n++;
	return n;
}

static void ages_add(uint8_t ages[KNOWN])
{
	uint8_t n = ages_count(ages);

	assert(n < KNOWN);
	ages[n] = 1;
}

/* What no window counts is forgotten. */
static void ages_grow(const struct g_setup *p, uint8_t ages[KNOWN])
{
	int64_t longest = 0;
	unsigned n = 0;

	for (size_t i = 0; i < p->n_limits; i++)
		longest = MAX(longest, p->limits[i].per_ms);
	for (unsigned i = 0; i < KNOWN; i++) {
		uint8_t a = ages[i];

		ages[i] = 0;
		if (a && a * UNIT_MS < longest)
			ages[n++] = (uint8_t)(a + 1);
	}
}

/* --- the shipped windows, as they are in this state --- */

static struct rates *rates_make(const struct g_setup *p, const struct g_state *s)
{
	struct rates *r = rates_new(&(struct rates_limit){ .requests = UINT32_MAX, .per_ms = 1 }, 1);

	for (unsigned i = 0; i < KNOWN && s->ended[i]; i++) {
		int64_t at_ms = NOW_MS - (s->ended[i] - 1) * UNIT_MS;

		if (i < s->told) {
			rates_recall(r, at_ms);
			continue;
		}
		(void)rates_begin(r, at_ms);
		rates_end(r, at_ms);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (s->call[i] == CALL_LEFT || s->call[i] == CALL_ARRIVED)
			(void)rates_begin(r, NOW_MS);
	}
	rates_set_limits(r, p->limits, p->n_limits);
	if (s->stop)
		rates_stop(r, NOW_MS + s->stop * UNIT_MS);
	return r;
}

/* Which one the shipped queue lets go first. */
static unsigned first_in_queue(const struct g_state *s)
{
	struct cc_call calls[2] = { { .prio = 1, .heap_at = CC_NOT_QUEUED, .sequence = s->b_was_first },
				    { .prio = 2, .heap_at = CC_NOT_QUEUED, .sequence = !s->b_was_first } };
	struct cc_queue q = { 0 };
	unsigned first;

	for (unsigned k = 0; k < 2; k++) {
		unsigned i = k ^ s->b_was_first;

		if (s->call[i] == CALL_QUEUED)
			cc_queue_push(&q, &calls[i]);
	}
	first = cc_queue_pop(&q) == &calls[1];
	cc_queue_done(&q);
	return first;
}

/* --- moves --- */

static void emit(struct g_search *x, const char *label, bool faulty, const struct g_state *s,
		 const char *wrong)
{
	struct g_state n = *s;
	uint32_t to;

	x->g.transitions++;
	if (wrong)
		violation(x, x->g.at, label, s, wrong);
	if (faulty && n.faults++ >= x->p->max_faults)
		return;
	if (n.call[0] != CALL_QUEUED || n.call[1] != CALL_QUEUED)
		n.b_was_first = 0;
	to = graph_add(&x->g, &n, label);
	if (!faulty)
		graph_keep(&x->g, to, 0);
}

static void queue(struct g_state *s, unsigned i)
{
	s->call[i] = CALL_QUEUED;
	s->b_was_first = s->call[1 - i] == CALL_QUEUED && i == 0;
}

static const char *arrive(const struct g_setup *p, struct g_state *s)
{
	ages_add(s->seen);
	for (size_t k = 0; k < p->n_limits; k++) {
		uint32_t n = 0;

		for (unsigned i = 0; i < KNOWN; i++)
			n += s->seen[i] && (s->seen[i] - 1) * UNIT_MS < p->limits[k].per_ms;
		if (n > p->limits[k].requests)
			return "the CA sees more requests in a window than it allows";
	}
	return NULL;
}

/* What may leave, leaves; the timer may also be late. */
static void let_go(struct g_search *x, const struct g_state *s)
{
	_cleanup_(rates_freep) struct rates *r = NULL;
	struct g_state n = *s;
	const char *wrong = NULL;
	int64_t wait_ms;
	unsigned i;

	if (s->call[0] != CALL_QUEUED && s->call[1] != CALL_QUEUED)
		return;
	r = rates_make(x->p, s);
	wait_ms = rates_begin(r, NOW_MS);
	if (wait_ms == 0) {
		i = first_in_queue(s);
		if (s->call[i] != CALL_QUEUED)
			wrong = "the queue lets one go that is not in it";
		if (i == 1 && s->call[0] == CALL_QUEUED)
			wrong = "the less urgent one goes first";
		n.call[i] = CALL_LEFT;
		emit(x, "may leave", false, &n, wrong);
	} else if (wait_ms == RATES_WAIT_ANSWER && s->call[0] < CALL_LEFT && s->call[1] < CALL_LEFT) {
		emit(x, "waits", false, &n, "an answer is awaited, and nothing is under way");
	}
}

/* rates_end(): from the answer on, or from when it will not come any more. */
static void end_call(struct g_search *x, const struct g_state *s, unsigned i, bool answered,
		     const char *label)
{
	struct g_state n = *s;

	ages_add(n.ended);
	n.call[i] = CALL_NONE;
	n.needs[i] = (uint8_t)(n.needs[i] - answered);
	emit(x, label, !answered, &n, NULL);
}

static void throttle(struct g_search *x, const struct g_state *s, unsigned i)
{
	struct g_state n = *s;

	ages_add(n.ended);
	queue(&n, i);
	n.stop = 2;
	emit(x, "429, others use the key", true, &n, NULL);
}

static void call_moves(struct g_search *x, const struct g_state *s, unsigned i)
{
	struct g_state n = *s;
	const char *wrong;

	switch (s->call[i]) {
	case CALL_NONE:
		if (s->needs[i] == 0)
			return;
		queue(&n, i);
		emit(x, "asks", false, &n, NULL);
		break;
	case CALL_QUEUED:
		n.call[i] = CALL_NONE;
		emit(x, "given up in the queue", true, &n, NULL);
		break;
	case CALL_LEFT:
		wrong = arrive(x->p, &n);
		n.call[i] = CALL_ARRIVED;
		emit(x, "arrives", false, &n, wrong);
		end_call(x, s, i, false, "given up, or the request is lost");
		break;
	case CALL_ARRIVED:
		end_call(x, s, i, true, "answered");
		end_call(x, s, i, false, "given up, or the answer is lost");
		throttle(x, s, i);
		break;
	}
}

/* What was under way is under way no more, whether it arrived or not; the windows begin with what state/rates tells: what was under
 * way counts from now on (certcentral/asked.c). */
static void crash(struct g_search *x, const struct g_state *s, unsigned arrived)
{
	struct g_state n = *s;
	const char *wrong = NULL;

	for (unsigned i = 0; i < 2; i++) {
		if ((arrived & 1u << i) && !wrong)
			wrong = arrive(x->p, &n);
		if (s->call[i] >= CALL_LEFT)
			ages_add(n.ended);
		n.call[i] = CALL_NONE;
	}
	n.told = ages_count(n.ended);
	n.stop = 0;
	emit(x, "crash", true, &n, wrong);
}

static void crashes(struct g_search *x, const struct g_state *s)
{
	unsigned may = (unsigned)(s->call[0] == CALL_LEFT) | (unsigned)(s->call[1] == CALL_LEFT) << 1;

	for (unsigned arrived = 0; arrived < 4; arrived++) {
		if (!(arrived & ~may))
			crash(x, s, arrived);
	}
}

static void time_moves(struct g_search *x, const struct g_state *s)
{
	struct g_state n = *s;

	ages_grow(x->p, n.ended);
	n.told = (uint8_t)MAX(n.told - (ages_count(s->ended) - ages_count(n.ended)), 0);
	ages_grow(x->p, n.seen);
	n.stop = (uint8_t)(n.stop - (n.stop > 0));
	emit(x, "time passes", false, &n, NULL);
}

/* --- the search --- */

static bool both_served(const void *state, const void *arg)
{
	const struct g_state *s = state;

	(void)arg;
	return s->needs[0] == 0 && s->needs[1] == 0;
}

static void explore(const struct g_setup *p, uint64_t *states, uint64_t *transitions)
{
	struct g_search x = { .g = { .program = "model_gate", .size = sizeof(struct g_state) }, .p = p };
	struct g_state first = { .needs = { p->needs, p->needs } };
	uint32_t trap;

	graph_add(&x.g, &first, "start");
	for (x.g.at = 0; x.g.at < x.g.n; x.g.at++) {
		struct g_state s;

		memcpy(&s, graph_state(&x.g, x.g.at), sizeof(s));
		let_go(&x, &s);
		call_moves(&x, &s, 0);
		call_moves(&x, &s, 1);
		crashes(&x, &s);
		time_moves(&x, &s);
	}
	trap = graph_trap(&x.g, both_served, NULL, 0);
	if (trap != NOBODY)
		violation(&x, trap, NULL, NULL, "from here on not both are ever served");
	printf("%-44s %8zu states %9llu transitions\n", p->name, x.g.n, (unsigned long long)x.g.transitions);
	*states += x.g.n;
	*transitions += x.g.transitions;
	graph_done(&x.g);
}

/* An argument is how the name of a world begins: only that one is walked. */
int main(int argc, char **argv)
{
	static const struct g_setup SETUPS[] = {
		{ .name = "one window",
		  .limits = { { 1, 3 * UNIT_MS } },
		  .n_limits = 1,
		  .needs = 3,
		  .max_faults = 6 },
		{ .name = "two windows",
		  .limits = { { 2, 3 * UNIT_MS }, { 3, 5 * UNIT_MS } },
		  .n_limits = 2,
		  .needs = 3,
		  .max_faults = 4 },
	};
	uint64_t states = 0, transitions = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ARRAY_SIZE(SETUPS); i++) {
		if (argc < 2 || strncmp(SETUPS[i].name, argv[1], strlen(argv[1])) == 0)
			explore(&SETUPS[i], &states, &transitions);
	}
	if (states == 0) {
		printf("model_gate: there is no such world\n");
		return 2;
	}
	printf("model_gate: %llu states, %llu transitions, 0 violations\n", (unsigned long long)states,
	       (unsigned long long)transitions);
	return 0;
}
