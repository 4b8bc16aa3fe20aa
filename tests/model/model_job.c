/* SPDX-License-Identifier: Apache-2.0 */
/* Every reachable state of one domain: the shipped job_step(), decide() and duty_clean_*() in a world that
 * answers, loses answers, crashes and lags in every order and any number of times. Breadth first, so that the trace of a
 * violation is a shortest one. tests/model/README.md says what is modelled and what is not. */
#include "tests/model/model_world.h"

#define STATES_MAX (1u << 23)
#define NOBODY	   UINT32_MAX

struct node {
	struct m_state s;
	uint32_t parent;
	const char *label;
};

struct edge {
	uint32_t from, to;
};

struct graph {
	const struct m_setup *m;
	struct node *nodes;
	size_t n, alloc;
	uint32_t *slots; /* hash table: 1 + node */
	size_t n_slots;
	struct edge *calm;
	size_t n_calm, alloc_calm;
	uint64_t transitions;
	uint32_t at; /* the node that is being expanded */
};

/* --- the trace of a violation --- */

static void print_job(const struct m_job *j)
{
	if (!j->on) {
		printf("no job");
		return;
	}
	printf("%s%s%s R%u csr%u%s%s%s%s%s%s", record_kind_word((enum job_kind)j->kind),
	       j->paid_for ? "" : " (free)", j->canceled ? " CANCELED" : "", j->ref, j->csr,
	       j->submitted ? " submitted" : "", j->order ? " order" : "", j->issued ? " issued" : "",
	       j->instant ? " instant" : "", j->published ? " published" : "", j->yielded ? " yielded" : "");
	printf(", %s", job_phase_name((enum job_phase)j->phase));
	if (j->token)
		printf(" T%u%s", j->token, j->token_left == TOKEN_DEAD ? "(expired)" : "");
	if (j->absents)
		printf(" absent %ux in %u", j->absents, j->absent_age - 1);
	if (j->next)
		printf(" next in %u", j->next - 1);
}

static void print_record(const char *label, const struct m_rec *r)
{
	printf("      %s %s%s%s gen %u, ", label, r->held ? "HELD " : "", r->cert == CERT_DUE ? "due" : "",
	       r->over ? " over" : "", r->gen);
	print_job(&r->job);
	printf("\n");
}

static void print_state(const struct m_state *s)
{
	static const char *const ORDERS[] = { "none", "approval", "pending", "validated", "issued", "ended" };
	const struct m_world *w = &s->w;

	print_record("memory:", &s->mem);
	print_record("disk:  ", &s->disk);
	printf("      world:  %s%s %s R%u csr%u age %u, key %u, token T%u%s, places T%u+T%u T%u+T%u, proofs "
	       "%u/%u, "
	       "spec %u, in flight %s%s%s\n",
	       w->plan ? "plan, " : "", record_kind_word((enum job_kind)w->kind), ORDERS[w->order],
	       w->order_ref, w->order_csr, w->order_age, w->key, w->ca_token, w->ca_dns ? " in DNS" : "",
	       w->web[0], w->older[0], w->web[1], w->older[1], s->mem.n_proofs, s->disk.n_proofs, w->spec,
	       job_op_name((enum job_op)w->op), w->clean ? ", withdraw" : "", w->away ? ", AWAY" : "");
}

static void print_trace(const struct graph *g, uint32_t i)
{
	if (g->nodes[i].parent != NOBODY)
		print_trace(g, g->nodes[i].parent);
	printf("  %s\n", g->nodes[i].label);
	print_state(&g->nodes[i].s);
}

_noreturn_ static void violation(const struct graph *g, uint32_t at, const char *label,
				 const struct m_state *s, const char *what)
{
	print_trace(g, at);
	if (label) {
		printf("  %s\n", label);
		print_state(s);
	}
	printf("model_job: VIOLATION in world \"%s\": %s\n", g->m->name, what);
	exit(1);
}

/* --- invariants of every state --- */

static const char *proofs_wrong(const struct m_state *s)
{
	for (uint8_t i = 0; i < 2; i++) {
		if (s->w.web[i] && !lists_proof(&s->disk, s->w.web[i], i))
			return "a proof stands in a webroot, but not in the record on disk";
		if (s->w.web[i] && !lists_proof(&s->mem, s->w.web[i], i))
			return "a proof stands in a webroot, but not in the record in memory";
		if (s->w.older[i] &&
		    (!lists_proof(&s->disk, s->w.older[i], i) || !lists_proof(&s->mem, s->w.older[i], i)))
			return "a proof stands in DNS, but not in the record";
	}
	return NULL;
}

static const char *state_wrong(const struct graph *g, const struct m_state *s)
{
	const struct m_job *j = &s->mem.job;

	if (j->on && !s->mem.held && j->next == 0 && s->w.op == OP_NONE && !s->w.away)
		return "nothing is in flight, and the job has no time to go on";
	if (order_is_ours(s) && (g->m->plan || s->w.order != O_ISSUED) && !s->disk.job.on)
		return "an order is open and the record on disk has forgotten it";
	if (order_is_ours(s) && s->disk.job.on && s->disk.job.ref == s->w.order_ref &&
	    s->w.key != s->w.order_csr)
		return "the key of a paid order was overwritten";
	return g->m->responder ? NULL : proofs_wrong(s);
}

/* --- the set of states --- */

static uint64_t hash(const struct m_state *s)
{
	const uint8_t *p = (const uint8_t *)s;
	uint64_t h = UINT64_C(14695981039346656037), word;

	for (size_t i = 0; i < sizeof(*s); i += sizeof(word)) {
		word = 0;
		memcpy(&word, p + i, MIN(sizeof(word), sizeof(*s) - i));
		h = (h ^ word) * UINT64_C(1099511628211);
		h ^= h >> 32;
	}
	return h;
}

static void grow_table(struct graph *g)
{
	free(g->slots);
	g->n_slots = g->n_slots ? g->n_slots * 2 : 1u << 16;
	g->slots = xcalloc(g->n_slots, sizeof(*g->slots));
	for (uint32_t i = 0; i < g->n; i++) {
		size_t h = hash(&g->nodes[i].s) & (g->n_slots - 1);

		while (g->slots[h])
			h = (h + 1) & (g->n_slots - 1);
		g->slots[h] = i + 1;
	}
}

static uint32_t add_state(struct graph *g, const struct m_state *s, const char *label)
{
	size_t h;

	if (g->n * 2 >= g->n_slots)
		grow_table(g);
	for (h = hash(s) & (g->n_slots - 1); g->slots[h]; h = (h + 1) & (g->n_slots - 1)) {
		if (memcmp(&g->nodes[g->slots[h] - 1].s, s, sizeof(*s)) == 0)
			return g->slots[h] - 1;
	}
	if (g->n == g->alloc) {
		g->alloc = g->alloc ? g->alloc * 2 : 1u << 15;
		g->nodes = xrealloc_array(g->nodes, g->alloc, sizeof(*g->nodes));
	}
	if (g->n == STATES_MAX) {
		printf("model_job: more than %u states\n", STATES_MAX);
		exit(1);
	}
	g->nodes[g->n] = (struct node){ .s = *s, .parent = g->n ? g->at : NOBODY, .label = label };
	g->slots[h] = (uint32_t)++g->n;
	return (uint32_t)g->n - 1;
}

/* False when this run has had its faults. */
static bool count_fault(const struct graph *g, enum m_kind kind, struct m_state *s)
{
	if (g->m->max_faults == 0 || kind != FAULTY)
		return true;
	return s->w.faults++ < g->m->max_faults;
}

static void on_emit(void *arg, const char *label, enum m_kind kind, struct m_next *n)
{
	struct graph *g = arg;
	const char *what = n->wrong;
	uint32_t to;

	/* A responder serves what the job shows, and nothing without a job. */
	if (g->m->responder && !n->s.mem.job.on)
		n->s.w.web[0] = 0;
	g->transitions++;
	if (!what)
		what = state_wrong(g, &n->s);
	if (what)
		violation(g, g->at, label, &n->s, what);
	if (n->s.mem.n_proofs > g->m->max_proofs || !count_fault(g, kind, &n->s))
		return;
	state_canonical(g->m, &n->s);
	to = add_state(g, &n->s, label);
	if (kind != CALM)
		return;
	if (g->n_calm == g->alloc_calm) {
		g->alloc_calm = g->alloc_calm ? g->alloc_calm * 2 : 1u << 16;
		g->calm = xrealloc_array(g->calm, g->alloc_calm, sizeof(*g->calm));
	}
	g->calm[g->n_calm++] = (struct edge){ g->at, to };
}

/* --- success stays reachable --- */

static bool is_success(const struct graph *g, const struct m_state *s)
{
	const struct m_rec *const recs[] = { &s->mem, &s->disk };

	for (size_t i = 0; i < ARRAY_SIZE(recs); i++) {
		if (recs[i]->held || recs[i]->job.on || recs[i]->cert != CERT_FRESH || recs[i]->n_proofs)
			return false;
	}
	return s->w.op == OP_NONE && s->w.clean == 0 && !s->w.away &&
	       (g->m->responder ||
		(s->w.web[0] == 0 && s->w.web[1] == 0 && s->w.older[0] == 0 && s->w.older[1] == 0));
}

/* Walks the calm moves backwards from success; the first state that is not met is a trap. */
static void check_success(const struct graph *g)
{
	size_t n = g->n, n_queue = 0;
	_cleanup_free_ uint32_t *first = xcalloc(n + 2, sizeof(*first));
	_cleanup_free_ uint32_t *from = xcalloc(g->n_calm + 1, sizeof(*from));
	_cleanup_free_ uint32_t *queue = xcalloc(n, sizeof(*queue));
	_cleanup_free_ bool *seen = xcalloc(n, sizeof(*seen));

	for (size_t i = 0; i < g->n_calm; i++)
		first[g->calm[i].to + 2]++;
	for (size_t i = 2; i < n + 2; i++)
		first[i] += first[i - 1];
	for (size_t i = 0; i < g->n_calm; i++)
		from[first[g->calm[i].to + 1]++] = g->calm[i].from;
	for (uint32_t i = 0; i < n; i++) {
		seen[i] = is_success(g, &g->nodes[i].s);
		if (seen[i])
			queue[n_queue++] = i;
	}
	for (size_t i = 0; i < n_queue; i++) {
		for (uint32_t e = first[queue[i]]; e < first[queue[i] + 1]; e++) {
			if (!seen[from[e]]) {
				seen[from[e]] = true;
				queue[n_queue++] = from[e];
			}
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!seen[i])
			violation(g, i, NULL, NULL, "from here on nothing leads to an installed certificate");
	}
}

static void explore(const struct m_setup *m, uint64_t *states, uint64_t *transitions)
{
	struct graph g = { .m = m };
	struct m_state first = { .w = { .order = O_NONE } };

	if (m->console) {
		first.w.plan = 1;
		first.mem.cert = first.disk.cert = CERT_DUE;
		first.mem.gen = first.disk.gen = 1;
	}

	state_canonical(m, &first);
	add_state(&g, &first, "start");
	for (g.at = 0; g.at < g.n; g.at++) {
		struct m_state s = g.nodes[g.at].s;
		struct m_from f = { .m = m, .s = &s, .emit = on_emit, .arg = &g };

		all_moves(&f);
	}
	check_success(&g);
	printf("%-44s %8zu states %9llu transitions\n", m->name, g.n, (unsigned long long)g.transitions);
	*states += g.n;
	*transitions += g.transitions;
	free(g.nodes);
	free(g.slots);
	free(g.calm);
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
		{ .name = "webroot, own look", .tempo = 1, .look = true, .max_proofs = 2 },
		{ .name = "responder, no look, shortest pauses",
		  .tempo = 4,
		  .rnd = 1023,
		  .responder = true,
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
