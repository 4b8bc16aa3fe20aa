/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload changes. Pure. */
#pragma once

#include "config/model.h"

enum config_change { CONFIG_ADDED, CONFIG_REMOVED, CONFIG_CHANGED, CONFIG_SAME };

/* Walks both snapshots in order of names and calls fn once per name; old or now is NULL for added and
 * removed ones. CHANGED: spec_hash, renew_before, the deploy targets or what the DNS
 * provider is differ, secrets included. old may be NULL. */
typedef void config_diff_fn(enum config_change change, const struct cfg_domain *old,
			    const struct cfg_domain *now, void *arg);
void config_diff(const struct config *old, const struct config *now, config_diff_fn *fn, void *arg);

/* The same target with the same secrets? */
bool config_same_deploy(const struct cfg_deploy *a, const struct cfg_deploy *b);

/* The same provider with the same TSIG key? NULL is the same as NULL only. */
bool config_same_provider(const struct cfg_dns_provider *a, const struct cfg_dns_provider *b);

/* True when something outside `domains` differs that needs a restart to take effect (state_dir,
 * control_socket, responder.listen, metrics.listen); names holds them, comma separated. */
bool config_needs_restart(const struct config *old, const struct config *now, char *names, size_t names_len);
