/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that look at more than one value. Each is asked once per place where the values are written, so
 * that a mistake in `defaults` is reported there and not at ten thousand domains. */
#include "config/raw.h"

#include "common/str.h"

#define DAY INT64_C(86400)

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
