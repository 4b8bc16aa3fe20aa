/* SPDX-License-Identifier: Apache-2.0 */
/* Every reachable state of one domain: the shipped job_step(), decide() and duty_clean_*() in a world that
 * answers, loses answers, crashes and lags in every order and any number of times. Breadth first, so that the trace of a
 * violation is a shortest one. tests/model/README.md says what is modelled and what is not. */
#include "tests/model/model_graph.h"
#include "tests/model/model_rules.h"
#include "tests/model/model_world.h"

struct search {
	struct graph g;
	const struct m_setup *m;
};

/* --- the trace of a violation --- */

static void print_trace(const struct graph *g, uint32_t i)
{
	if (g->nodes[i].parent != NOBODY)
		print_trace(g, g->nodes[i].parent);
	printf("  %s\n", g->nodes[i].label);
	print_state(graph_state(g, i));
}

_noreturn_ static void violation(const struct search *x, uint32_t at, const char *label,
				 const struct m_state *s, const char *what)
{
	print_trace(&x->g, at);
	if (label) {
		printf("  %s\n", label);
		print_state(s);
	}
	printf("model_job: VIOLATION in world \"%s\": %s\n", x->m->name, what);
	exit(1);
}

/* --- the search --- */

/* False when this run has had its faults. */
static bool count_fault(const struct m_setup *m, enum m_kind kind, struct m_state *s)
{
	if (m->max_faults == 0 || kind != FAULTY)
		return true;
	return s->w.faults++ < m->max_faults;
}

static void on_emit(void *arg, const char *label, enum m_kind kind, struct m_next *n)
{
	struct search *x = arg;
	const char *what = n->wrong;
	uint32_t to;

	/* A responder serves what the job shows, and nothing without a job. */
	if (x->m->responder && !n->s.mem.job.on)
		n->s.w.web[0] = 0;
	x->g.transitions++;
	if (!what)
		what = state_wrong(x->m, &n->s);
	if (what)
		violation(x, x->g.at, label, &n->s, what);
	if (n->s.mem.n_proofs > x->m->max_proofs || !count_fault(x->m, kind, &n->s))
		return;
	state_canonical(x->m, &n->s);
	to = graph_add(&x->g, &n->s, label);
	if (kind == CALM)
		graph_keep(&x->g, to, 0);
}

static bool is_success(const void *state, const void *arg)
{
	return state_is_settled(arg, state);
}

static void explore(const struct m_setup *m, uint64_t *states, uint64_t *transitions)
{
	struct search x = { .g = { .program = "model_job", .size = sizeof(struct m_state) }, .m = m };
	struct m_state first = { .w = { .order = O_NONE } };
	uint32_t trap;

	if (m->console) {
		first.w.plan = 1;
		first.mem.cert = first.disk.cert = CERT_DUE;
		first.mem.gen = first.disk.gen = 1;
	}

	state_canonical(m, &first);
	graph_add(&x.g, &first, "start");
	for (x.g.at = 0; x.g.at < x.g.n; x.g.at++) {
		struct m_state s;
		struct m_from f = { .m = m, .s = &s, .emit = on_emit, .arg = &x };

		memcpy(&s, graph_state(&x.g, x.g.at), sizeof(s));
		all_moves(&f);
	}
	trap = graph_trap(&x.g, is_success, m, 0);
	if (trap != NOBODY)
		violation(&x, trap, NULL, NULL, "from here on nothing leads to an installed certificate");
	printf("%-44s %8zu states %9llu transitions\n", m->name, x.g.n, (unsigned long long)x.g.transitions);
	*states += x.g.n;
	*transitions += x.g.transitions;
	graph_done(&x.g);
}

/* Every move that the table declares must be taken: otherwise the table is too wide. */
static bool all_moves_taken(void)
{
	unsigned declared = 0, taken = 0;

	for (unsigned a = 0; a < PHASE_NR; a++) {
		for (unsigned b = 0; b < PHASE_NR; b++) {
			if (!job_may_go((enum job_phase)a, (enum job_phase)b))
				continue;
			declared++;
			taken += m_moves[a][b] > 0;
			if (m_moves[a][b] == 0)
				printf("never taken: %s -> %s\n", job_phase_name((enum job_phase)a),
				       job_phase_name((enum job_phase)b));
		}
	}
	printf("moves of the table: %u declared, %u taken\n", declared, taken);
	return declared == taken;
}

/* An argument is how the name of a world begins: only that one is walked. */
int main(int argc, char **argv)
{
	static const struct m_setup SETUPS[] = {
		{ .name = "webroot, own look", .tempo = 1, .look = true, .values = true, .max_proofs = 2 },
		{ .name = "responder, no look, shortest pauses",
		  .tempo = 4,
		  .rnd = 1023,
		  .responder = true,
		  .values = true,
		  .max_proofs = 2 },
		{ .name = "shared webroot that changes",
		  .tempo = 1,
		  .yields = true,
		  .second_webroot = true,
		  .max_proofs = 4,
		  .max_faults = 3 },
		{ .name = "reissues, more names, a console",
		  .tempo = 4,
		  .responder = true,
		  .plan = true,
		  .console = true,
		  .names = true,
		  .cancels = true,
		  .max_proofs = 2,
		  .max_faults = 3 },
		{ .name = "instant issuance in a shared webroot",
		  .tempo = 1,
		  .look = true,
		  .instant = true,
		  .yields = true,
		  .leaves = true,
		  .cancels = true,
		  .max_proofs = 3,
		  .max_faults = 2 },
		{ .name = "records in DNS, delegated names",
		  .tempo = 1,
		  .dns = true,
		  .values = true,
		  .cancels = true,
		  .max_proofs = 3,
		  .max_faults = 3 },
		{ .name = "method changes to DNS and back",
		  .tempo = 1,
		  .plan = true,
		  .methods = true,
		  .max_proofs = 3,
		  .max_faults = 3 },
	};
	struct timespec begin, end;
	uint64_t states = 0, transitions = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (size_t i = 0; i < ARRAY_SIZE(SETUPS); i++) {
		if (argc < 2 || strncmp(SETUPS[i].name, argv[1], strlen(argv[1])) == 0)
			explore(&SETUPS[i], &states, &transitions);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("time: %.1f s\n",
	       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	if (states == 0) {
		printf("model_job: there is no such world\n");
		return 2;
	}
	if (argc < 2 && !all_moves_taken()) {
		printf("model_job: VIOLATION: the table of moves is wider than what happens\n");
		return 1;
	}
	printf("model_job: %llu states, %llu transitions, 0 violations\n", (unsigned long long)states,
	       (unsigned long long)transitions);
	return 0;
}
