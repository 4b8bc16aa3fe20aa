/* SPDX-License-Identifier: Apache-2.0 */
/* Every reachable state of two domains that share a webroot, or the orders of a day: the shipped steps, decisions, turns and budget
 * in a world that answers, loses, refuses and crashes. tests/model/README.md says what is modelled and what is not. */
#include "tests/model/model_graph.h"
#include "tests/model/pair_moves.h"

struct search {
	struct graph g;
	const struct p_setup *p;
};

/* --- the trace of a violation --- */

static void print_pair(const struct p_state *s)
{
	static const char *const TURNS[] = { "-", "waits", "has" };

	for (unsigned i = 0; i < 2; i++) {
		printf("    %c, turn %s\n", 'A' + (int)i, TURNS[s->turn[i]]);
		print_state(&s->d[i]);
	}
	printf("    posts of the day %u, placed %u\n", ages_count(s->post), ages_count(s->placed));
}

static void print_trace(const struct graph *g, uint32_t i)
{
	if (g->nodes[i].parent != NOBODY)
		print_trace(g, g->nodes[i].parent);
	printf("  %s\n", g->nodes[i].label);
	print_pair(graph_state(g, i));
}

_noreturn_ static void violation(const struct search *x, uint32_t at, const char *label,
				 const struct p_state *s, const char *what)
{
	print_trace(&x->g, at);
	if (label) {
		printf("  %s\n", label);
		print_pair(s);
	}
	printf("model_pair: VIOLATION in world \"%s\": %s\n", x->p->m.name, what);
	exit(1);
}

/* --- the search --- */

static void on_emit(void *arg, const char *label, enum m_kind kind, uint32_t helps, struct p_next *n)
{
	struct search *x = arg;
	const char *what = n->wrong ? n->wrong : p_state_wrong(x->p, &n->s);
	uint32_t to;

	x->g.transitions++;
	if (what)
		violation(x, x->g.at, label, &n->s, what);
	for (unsigned i = 0; i < 2; i++) {
		if (n->s.d[i].mem.n_proofs > x->p->m.max_proofs)
			return;
	}
	if (kind == FAULTY && n->s.faults++ >= x->p->max_faults)
		return;
	p_canonical(x->p, &n->s);
	to = graph_add(&x->g, &n->s, label);
	if (kind == CALM)
		graph_keep(&x->g, to, helps);
}

static bool both_settled(const void *state, const void *arg)
{
	return p_is_settled(arg, state, 0) && p_is_settled(arg, state, 1);
}

static bool a_is_settled(const void *state, const void *arg)
{
	return p_is_settled(arg, state, 0);
}

static bool b_is_settled(const void *state, const void *arg)
{
	return p_is_settled(arg, state, 1);
}

static void check_reachable(const struct search *x)
{
	static const struct {
		graph_goal_fn *goal;
		uint32_t without;
		const char *what;
	} GOALS[] = {
		{ both_settled, 0, "from here on nothing leads to two installed certificates" },
		{ a_is_settled, HELPS(1), "A is not served as long as nobody helps B" },
		{ b_is_settled, HELPS(0), "B is not served as long as nobody helps A" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(GOALS); i++) {
		uint32_t trap = graph_trap(&x->g, GOALS[i].goal, x->p, GOALS[i].without);

		if (trap != NOBODY)
			violation(x, trap, NULL, NULL, GOALS[i].what);
	}
}

static void explore(const struct p_setup *p, uint64_t *states, uint64_t *transitions)
{
	struct search x = { .g = { .program = "model_pair", .size = sizeof(struct p_state) }, .p = p };
	struct p_state first = { .faults = 0 };

	p_canonical(p, &first);
	graph_add(&x.g, &first, "start");
	for (x.g.at = 0; x.g.at < x.g.n; x.g.at++) {
		struct p_state s;
		struct p_from f = { .p = p, .s = &s, .emit = on_emit, .arg = &x };

		memcpy(&s, graph_state(&x.g, x.g.at), sizeof(s));
		p_moves(&f);
	}
	check_reachable(&x);
	printf("%-44s %8zu states %9llu transitions\n", p->m.name, x.g.n,
	       (unsigned long long)x.g.transitions);
	*states += x.g.n;
	*transitions += x.g.transitions;
	graph_done(&x.g);
}

/* An argument is how the name of a world begins: only that one is walked. */
int main(int argc, char **argv)
{
	static const struct p_setup SETUPS[] = {
		{ .m = { .name = "one webroot", .tempo = 1, .yields = true, .max_proofs = 2 },
		  .max_faults = 2 },
		{ .m = { .name = "own look in one webroot",
			 .tempo = 1,
			 .yields = true,
			 .look = true,
			 .max_proofs = 2 },
		  .max_faults = 1 },
		{ .m = { .name = "instant issuance in one webroot",
			 .tempo = 1,
			 .yields = true,
			 .instant = true,
			 .max_proofs = 3 },
		  .max_faults = 1 },
		{ .m = { .name = "lost posts of instant orders",
			 .tempo = 1,
			 .yields = true,
			 .instant = true,
			 .max_proofs = 3 },
		  .ops = 1u << OP_SUBMIT | 1u << OP_FIND,
		  .max_faults = 2 },
		{ .m = { .name = "orders of a day", .tempo = M_DAY_TEMPO, .responder = true, .days = true },
		  .max_per_day = 1,
		  .instant_answer = true,
		  .max_faults = 3 },
		{ .m = { .name = "a key that cannot be made",
			 .tempo = M_DAY_TEMPO,
			 .responder = true,
			 .days = true },
		  .max_per_day = 1,
		  .instant_answer = true,
		  .stuck = true,
		  .max_faults = 2 },
		{ .m = { .name = "instant orders of a day in one webroot",
			 .tempo = M_DAY_TEMPO,
			 .yields = true,
			 .instant = true,
			 .days = true,
			 .max_proofs = 3 },
		  .max_per_day = 1,
		  .max_faults = 1 },
	};
	struct timespec begin, end;
	uint64_t states = 0, transitions = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (size_t i = 0; i < ARRAY_SIZE(SETUPS); i++) {
		if (argc < 2 || strncmp(SETUPS[i].m.name, argv[1], strlen(argv[1])) == 0)
			explore(&SETUPS[i], &states, &transitions);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("time: %.1f s\n",
	       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	if (states == 0) {
		printf("model_pair: there is no such world\n");
		return 2;
	}
	printf("model_pair: %llu states, %llu transitions, 0 violations\n", (unsigned long long)states,
	       (unsigned long long)transitions);
	return 0;
}
