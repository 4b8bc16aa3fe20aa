/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/targets.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/pki/chain.h"
#include "daemon/pki/key.h"
#include "tests/sim/judge_priv.h"
#include "tests/sim/plan.h"
#include "tests/sim/scenario_priv.h"

#define PEM_CAP	 (1u << 17)
#define LOOK_OLD 8 /* generations that a copy is compared with */

struct site sites[PLAN_DOMAINS_MAX];
struct targets targets;

char *targets_read(const char *path)
{
	char *text = NULL;
	size_t len = 0;

	return fs_read_at(AT_FDCWD, path, PEM_CAP, &text, &len, NULL) == 0 ? text : NULL;
}

static bool draw(int64_t percent)
{
	return world_range(STREAM_TARGETS, 1, 100) <= percent;
}

/* --- what there is --- */

struct site *targets_site(const char *name)
{
	const struct actor *a = scenario_actor(name);

	return a ? &sites[a - actors] : NULL;
}

struct slot *targets_slot(struct site *s, const char *target)
{
	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->slots[i].in_yaml && strcmp(s->slots[i].name, target) == 0)
			return &s->slots[i];
	return NULL;
}

struct node *targets_node(unsigned x, unsigned y, struct server **ret_server)
{
	if (x >= n_actors || y / NODES_MAX >= sites[x].n_servers)
		return NULL;
	*ret_server = &sites[x].servers[y / NODES_MAX];
	return y % NODES_MAX < (*ret_server)->n_nodes ? &(*ret_server)->nodes[y % NODES_MAX] : NULL;
}

unsigned targets_addresses(const char *host, unsigned ret_x[NODES_MAX], unsigned ret_y[NODES_MAX])
{
	const char *dot = strchr(host, '.');
	const struct site *s = dot ? targets_site(dot + 1) : NULL;
	unsigned v = 0;

	if (!s || sscanf(host, "web%u.", &v) != 1 || v >= s->n_servers)
		return 0;
	for (unsigned i = 0; i < s->servers[v].n_nodes; i++) {
		ret_x[i] = (unsigned)(s - sites);
		ret_y[i] = v * NODES_MAX + i;
	}
	return s->servers[v].n_nodes;
}

static void name_slot(const struct site *s, struct slot *t)
{
	const struct server *v = &s->servers[t->server];
	unsigned x = (unsigned)(s - sites), n = t->server;

	switch (t->kind) {
	case SLOT_FILES: snprintf(t->name, sizeof(t->name), "files:%s", s->copies[0]); break;
	case SLOT_LOADER:
		snprintf(t->name, sizeof(t->name),
			 v->by_hook ? "exec:/opt/sim/load%u-%u" : "reload:web%u-%u.service", x, n);
		break;
	case SLOT_VERIFY:
		if (v->by_name)
			snprintf(t->name, sizeof(t->name), "verify:web%u.%s:443", n, s->actor->name);
		else
			snprintf(t->name, sizeof(t->name), "verify:10.8.%u.%u:443", x, n * NODES_MAX);
		break;
	case SLOT_SIDE: snprintf(t->name, sizeof(t->name), "exec:/opt/sim/side%u", x); break;
	case SLOT_SCUTUM: break;
	}
}

static void add_slot(struct site *s, enum slot_kind kind, unsigned server)
{
	struct slot *t = &s->slots[s->n_slots++];

	*t = (struct slot){ .kind = kind, .server = server, .in_yaml = true };
	name_slot(s, t);
}

static void add_server(struct site *s, bool has_files)
{
	struct server *v = &s->servers[s->n_servers++];

	v->by_hook = draw(30);
	v->has_verify = draw(80);
	v->by_name = draw(40);
	v->n_nodes = v->by_name && draw(50) ? NODES_MAX : 1;
	v->copies = has_files && draw(70);
}

static void add_pair(struct site *s, unsigned server)
{
	add_slot(s, SLOT_LOADER, server);
	if (s->servers[server].has_verify)
		add_slot(s, SLOT_VERIFY, server);
}

/* Server after server, or all loaded before the first is looked at. */
static void add_servers(struct site *s)
{
	bool one_by_one = draw(60);

	for (unsigned i = 0; i < s->n_servers; i++) {
		if (one_by_one)
			add_pair(s, i);
		else
			add_slot(s, SLOT_LOADER, i);
	}
	for (unsigned i = 0; i < s->n_servers && !one_by_one; i++)
		if (s->servers[i].has_verify)
			add_slot(s, SLOT_VERIFY, i);
}

static void make_site(struct site *s, const char *dir)
{
	bool has_files = draw(50), has_side = draw(30), side_first = draw(50), scutum_first = draw(50);

	s->bundle = draw(50);
	s->copies[0] = xasprintf("%s/copies/%s.%s", dir, s->actor->name, s->bundle ? "pem" : "crt");
	s->copies[1] = xasprintf("%s/copies/%s.key", dir, s->actor->name);
	add_server(s, has_files);
	if (draw(40))
		add_server(s, has_files);
	if (scutum_first)
		add_slot(s, SLOT_SCUTUM, 0);
	if (has_files)
		add_slot(s, SLOT_FILES, 0);
	if (has_side && side_first)
		add_slot(s, SLOT_SIDE, 0);
	add_servers(s);
	if (has_side && !side_first)
		add_slot(s, SLOT_SIDE, 0);
	if (!scutum_first)
		add_slot(s, SLOT_SCUTUM, 0);
}

void targets_make(const char *dir)
{
	for (unsigned i = 0; i < n_actors; i++) {
		sites[i].actor = &actors[i];
		if (plan.rate[TROUBLE_TARGETS] > 0 && draw(50))
			make_site(&sites[i], dir);
	}
}

/* --- the YAML --- */

static void write_files(FILE *f, const struct site *s)
{
	if (s->bundle)
		fprintf(f, "      - files: {bundle: %s}\n", s->copies[0]);
	else
		fprintf(f, "      - files: {fullchain: %s, key: %s}\n", s->copies[0], s->copies[1]);
}

static void write_slot(FILE *f, const struct site *s, const struct slot *t)
{
	const char *value = strchr(t->name, ':');

	switch (t->kind) {
	case SLOT_FILES: write_files(f, s); break;
	case SLOT_LOADER:
		if (!s->servers[t->server].by_hook) {
			fprintf(f, "      - reload: {unit: %s, test: [/bin/true]}\n", value + 1);
			break;
		}
		fprintf(f, "      - exec: {command: [%s]}\n", value + 1);
		break;
	case SLOT_SIDE: fprintf(f, "      - exec: {command: [%s]}\n", value + 1); break;
	case SLOT_VERIFY: fprintf(f, "      - verify: {connect: \"%s\"}\n", value + 1); break;
	case SLOT_SCUTUM:
		if (s->actor->deploys)
			fprintf(f, "      - scutum: {host: %s, id: ID1, api_key_file: scutum-key}\n",
				s->actor->name);
		break;
	}
}

void targets_write(FILE *f, const struct actor *a)
{
	const struct site *s = &sites[a - actors];

	if (s->n_slots == 0 && a->deploys)
		fprintf(f, "    deploy: [{scutum: {host: %s, id: ID1, api_key_file: scutum-key}}]\n",
			a->name);
	if (s->n_slots == 0)
		return;
	fprintf(f, "    deploy:\n");
	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->slots[i].in_yaml)
			write_slot(f, s, &s->slots[i]);
}

/* --- loading --- */

unsigned targets_live(const struct site *s)
{
	_cleanup_free_ char *path = xasprintf("%s/live/%s", scenario_state_dir(), s->actor->name);
	_cleanup_free_ char *to = NULL;
	const char *last = fs_readlink(AT_FDCWD, path, &to) == 0 ? strrchr(to, '/') : NULL;
	uint64_t n = 0;

	return last && str_parse_u64(last + 1, &n) == 0 ? (unsigned)n : 0;
}

static bool is_pair(const char *chain, const char *key)
{
	_cleanup_(key_freep) struct key *k = NULL;

	return chain && key && key_from_pem(key, strlen(key), &k, NULL) == 0 &&
	       cert_belongs(chain, strlen(chain), k);
}

/* Of which generation is this? The copies do not say. */
static unsigned generation_of(const struct site *s, const char *chain)
{
	unsigned live = targets_live(s);

	for (unsigned g = live; g > 0 && live - g < LOOK_OLD; g--) {
		_cleanup_free_ char *path = xasprintf("%s/archive/%s/%04u/fullchain.pem",
						      scenario_state_dir(), s->actor->name, g);
		_cleanup_free_ char *text = targets_read(path);

		if (text && strncmp(chain, text, strlen(text)) == 0)
			return g;
	}
	return 0;
}

static void read_source(const struct site *s, const struct server *v, char **ret_chain, char **ret_key)
{
	_cleanup_free_ char *dir = xasprintf("%s/live/%s", scenario_state_dir(), s->actor->name);
	_cleanup_free_ char *chain = xasprintf("%s/fullchain.pem", dir);
	_cleanup_free_ char *key = xasprintf("%s/privkey.pem", dir);
	char *second;

	*ret_chain = targets_read(v->copies ? s->copies[0] : chain);
	*ret_key = NULL;
	if (!v->copies || !s->bundle) {
		*ret_key = targets_read(v->copies ? s->copies[1] : key);
		return;
	}
	second = *ret_chain ? strstr(*ret_chain, "-----BEGIN EC PRIVATE KEY") : NULL;
	if (second) {
		*ret_key = xstrdup(second);
		*second = '\0';
	}
}

static void show_next(struct node *n)
{
	if (!n->next || world_now_ms() < n->next_at_ms)
		return;
	free(n->shown);
	n->shown = TAKE_PTR(n->next);
	n->generation = n->next_generation;
}

bool targets_load(struct site *s, struct server *v, struct node *n, int64_t lag_ms)
{
	_cleanup_free_ char *chain = NULL, *key = NULL;
	unsigned generation;

	read_source(s, v, &chain, &key);
	if (!is_pair(chain, key)) {
		judge_not_loaded(s, v);
		return false;
	}
	generation = v->copies ? generation_of(s, chain) : targets_live(s);
	judge_loaded(s, n, generation);
	show_next(n);
	free(n->next);
	n->next = TAKE_PTR(chain);
	n->next_generation = generation;
	n->next_at_ms = world_now_ms() + lag_ms;
	n->best = MAX(n->best, generation);
	show_next(n);
	return true;
}

const char *targets_shown(struct node *n)
{
	show_next(n);
	return n->is_up ? n->shown : NULL;
}
