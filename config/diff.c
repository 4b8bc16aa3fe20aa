/* SPDX-License-Identifier: Apache-2.0 */
/* Two sorted lists side by side. Secrets are compared by content: a key that was replaced in its file is a
 * change although the YAML is the same. */
#include "config/diff.h"

#include "common/strbuf.h"
#include "config/tsig.h"

#include <string.h>

static bool same_secret(const struct secret *a, const struct secret *b)
{
	return a == b || (a && b && secret_equal(a, b));
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_words(const char *const *a, const char *const *b)
{
	if (!a || !b)
		return a == b;
	while (*a && *b && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return !*a && !*b;
}

static bool same_files(const struct cfg_files_target *a, const struct cfg_files_target *b)
{
	for (unsigned i = 0; i < CFG_COPY_NR; i++)
		if (!same_text(a->paths[i], b->paths[i]))
			return false;
	return same_text(a->owner, b->owner) && same_text(a->group, b->group) && a->mode == b->mode;
}

/* How long something may take, and what is tried before it, does not change what was reached. */
bool config_same_deploy(const struct cfg_deploy *a, const struct cfg_deploy *b)
{
	if (a->type != b->type || strcmp(a->target, b->target) != 0)
		return false;
	switch (a->type) {
	case CFG_DEPLOY_FILES: return same_files(&a->files, &b->files);
	case CFG_DEPLOY_RELOAD: return true;
	case CFG_DEPLOY_EXEC: return same_words(a->exec.command, b->exec.command);
	case CFG_DEPLOY_VERIFY:
		return strcmp(a->verify.connect, b->verify.connect) == 0 &&
		       strcmp(a->verify.server_name, b->verify.server_name) == 0;
	case CFG_DEPLOY_SCUTUM:
		return strcmp(a->scutum.id, b->scutum.id) == 0 &&
		       same_secret(a->scutum.api_key, b->scutum.api_key) &&
		       same_secret(a->scutum.key_passphrase, b->scutum.key_passphrase);
	case CFG_DEPLOY_NR: break;
	}
	return false;
}

bool config_same_provider(const struct cfg_dns_provider *a, const struct cfg_dns_provider *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a->name, b->name) == 0 && a->type == b->type && same_text(a->server, b->server) &&
	       same_text(a->zone, b->zone) && tsig_key_equal(a->tsig_key, b->tsig_key) && a->ttl == b->ttl &&
	       same_words(a->command, b->command) && a->timeout == b->timeout;
}

static bool same_domain(const struct cfg_domain *a, const struct cfg_domain *b)
{
	if (a->spec_hash != b->spec_hash || a->renew_before != b->renew_before ||
	    a->n_deploy != b->n_deploy || !config_same_provider(a->dcv.provider, b->dcv.provider))
		return false;
	for (uint32_t i = 0; i < a->n_deploy; i++)
		if (!config_same_deploy(&a->deploy[i], &b->deploy[i]))
			return false;
	return true;
}

void config_diff(const struct config *old, const struct config *now, config_diff_fn *fn, void *arg)
{
	size_t n_old = old ? old->n_domains : 0;
	size_t i = 0;
	size_t k = 0;

	while (i < n_old || k < now->n_domains) {
		const struct cfg_domain *a = i < n_old ? &old->domains[i] : NULL;
		const struct cfg_domain *b = k < now->n_domains ? &now->domains[k] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);

		if (order < 0) {
			fn(CONFIG_REMOVED, a, NULL, arg);
			i++;
		} else if (order > 0) {
			fn(CONFIG_ADDED, NULL, b, arg);
			k++;
		} else {
			fn(a && b && same_domain(a, b) ? CONFIG_SAME : CONFIG_CHANGED, a, b, arg);
			i++;
			k++;
		}
	}
}

static void add_when_other(struct strbuf *sb, const char *a, const char *b, const char *name)
{
	if (!same_text(a, b))
		strbuf_addf(sb, "%s%s", sb->len ? ", " : "", name);
}

bool config_needs_restart(const struct config *old, const struct config *now, char *names, size_t names_len)
{
	struct strbuf sb = STRBUF_INIT(128);
	bool needed = false;

	add_when_other(&sb, old->state_dir, now->state_dir, "state_dir");
	add_when_other(&sb, old->control_socket, now->control_socket, "control_socket");
	add_when_other(&sb, old->responder_listen, now->responder_listen, "responder.listen");
	add_when_other(&sb, old->metrics.listen, now->metrics.listen, "metrics.listen");
	needed = sb.len > 0;
	if (names_len > 0)
		(void)snprintf(names, names_len, "%s", strbuf_str(&sb));
	strbuf_done(&sb);
	return needed;
}
