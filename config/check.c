/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that look at more than one value. Each is asked once per place where the values are written, so
 * that a mistake in `defaults` is reported there and not at ten thousand domains. */
#include "config/raw.h"

#include "common/str.h"

#define DAY INT64_C(86400)

static const struct yaml_item *or_map(const struct yaml_item *item, const struct yaml_item *map)
{
	return item ? item : map;
}

void check_key(struct reader *r, const struct yaml_item *map, const struct opt_path *path, const void *target)
{
	const struct raw_key *key = target;
	const struct yaml_item *bits = yaml_get(map, "bits");
	const struct yaml_item *curve = yaml_get(map, "curve");
	struct opt_path at_bits = { path, "bits", 0 };
	struct opt_path at_curve = { path, "curve", 0 };

	if (key->type == 1 && bits)
		reader_problem(r, bits, &at_bits, "is for rsa keys; an ec key has a curve (P-256 or P-384)");
	if (key->type == 0 && curve)
		reader_problem(r, curve, &at_curve,
			       "is for ec keys; add type: ec, or give bits for an rsa key");
	if (key->type == 0 && key->bits % 1024 != 0)
		reader_problem(r, bits, &at_bits,
			       "must be a multiple of 1024, such as 2048, 3072 or 4096, not %lld",
			       (long long)key->bits);
}

void check_dcv(struct reader *r, const struct yaml_item *map, const struct opt_path *path, const void *target)
{
	const struct raw_dcv *dcv = target;
	const struct yaml_item *responder = yaml_get(map, "responder");
	struct opt_path at_responder = { path, "responder", 0 };

	if (dcv->webroot && dcv->responder)
		reader_problem(r, or_map(responder, map), &at_responder,
			       "excludes webroot; remove one of the two");
	else if (!dcv->webroot && !dcv->responder)
		reader_problem(r, map, path, "needs webroot: /path/of/the/web/server, or responder: true");
	if (dcv->responder && r->main && !r->main->has_responder)
		reader_problem(r, or_map(responder, map), &at_responder,
			       "needs the section responder: {listen: \"127.0.0.1:8402\"} at the top of the "
			       "main file");
}

void check_domain_options(struct reader *r, const struct yaml_item *map, const struct opt_path *path)
{
	const struct yaml_item *item = yaml_get(map, "renew_before");
	int64_t days = r->main->c.certcentral.max_cert_days;
	struct opt_path here = { path, "renew_before", 0 };
	int64_t s = 0;

	if (item && item->kind == YAML_KIND_SCALAR && str_parse_duration(item->text, &s) == 0 &&
	    s >= days * DAY)
		reader_problem(
			r, item, &here,
			"%.40s is not shorter than a certificate's life (certcentral.max_cert_days: %lld); "
			"write auto, or less",
			item->text, (long long)days);
}

void check_wildcard(struct reader *r, const struct yaml_item *item, const struct opt_path *path,
		    const char *name, enum cfg_dcv_method method)
{
	/* Baseline Requirements 3.2.2.4.18: not for wildcards. */
	if (method == CFG_DCV_HTTP_TOKEN && str_has_prefix(name, "*."))
		reader_problem(
			r, item, path,
			"\"%s\": a wildcard cannot be proven with http-token; list the host names one by one "
			"in dns_names (wildcards need a DNS method, which this version does not have)",
			name);
}
