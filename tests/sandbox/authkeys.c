/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/authkeys.h"

#include "common/clock.h"
#include "common/str.h"
#include "tests/sandbox/certificates.h"
#include "tests/sandbox/fields.h"

#define DAY_S	 INT64_C(86400)
#define DAYS_MAX 36500

static bool is_active(const struct sandbox *sb, const struct auth_key *k)
{
	return !k->expires_at || sbx_now(sb) < k->expires_at;
}

static const struct auth_key *everlasting(const struct sandbox *sb)
{
	for (size_t i = 0; i < sb->n_auth_keys; i++)
		if (!sb->auth_keys[i].expires_at)
			return &sb->auth_keys[i];
	return NULL;
}

static bool any_active(const struct sandbox *sb)
{
	for (size_t i = 0; i < sb->n_auth_keys; i++)
		if (is_active(sb, &sb->auth_keys[i]))
			return true;
	return false;
}

static struct auth_key *by_id(const struct sandbox *sb, const char *id)
{
	for (size_t i = 0; i < sb->n_auth_keys; i++)
		if (!strcmp(sb->auth_keys[i].id, id))
			return &sb->auth_keys[i];
	return NULL;
}

/* These endpoints belong to the account: a key limited to orders may not reach them. The older generation has none
 * that are about one of several. */
static int check_call(const struct sandbox *sb, bool of_several, struct reply *rp)
{
	if (sb->set.scope_orders)
		return reply_error(rp, 403, "access_denied|missing_permission",
				   "You do not have permission to perform this action.");
	if (of_several && sb->set.auth_keys_one)
		return reply_error(rp, 404, "not_found|route", "There is no such route.");
	return 0;
}

static struct auth_key *make(struct sandbox *sb, uint64_t days)
{
	unsigned char raw[32];
	struct auth_key *k = SBX_GROW(sb->auth_keys, sb->n_auth_keys);
	clock_random(raw, sizeof(raw));
	str_hex(raw, sizeof(raw), k->key);
	clock_random(raw, sizeof(raw));
	str_hex(raw, sizeof(k->id) / 2, k->id);
	k->created_at = sbx_now(sb);
	k->expires_at = days ? k->created_at + (int64_t)days * DAY_S : 0;
	return k;
}

static struct json *made_json(const struct auth_key *k)
{
	struct json *j = json_new_obj();
	json_set_str(j, "auth_key_id", k->id);
	json_set_str(j, "auth_key", k->key);
	if (k->expires_at)
		json_set_moment(j, "expiration_datetime", k->expires_at);
	return j;
}

static struct json *details_json(const struct sandbox *sb, const struct auth_key *k)
{
	struct json *j = made_json(k);
	json_set_str(j, "status", is_active(sb, k) ? "active" : "expired");
	json_set_moment(j, "created_datetime", k->created_at);
	return j;
}

/* None, or an empty object. */
static int check_body(const struct request *rq, struct reply *rp)
{
	if (!rq->body.len)
		return 0;
	_cleanup_(json_freep) struct json *body = fields_body(rq, rp);
	return body ? fields_check(body, "", NULL, 0, rp) : -1;
}

void authkeys_create(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	uint64_t days = 0;
	if (check_body(rq, rp) < 0)
		return;
	SBX_LOCKED(sb);
	if (check_call(sb, rq->n_segments == 5, rp) < 0)
		return;
	if (rq->n_segments == 5 && (str_parse_u64(rq->arg[0], &days) < 0 || days < 1 || days > DAYS_MAX)) {
		(void)reply_error(rp, 400, "invalid_field|days", "Must be 1 or more days.");
		return;
	}
	if (!days && (everlasting(sb) || (sb->set.auth_keys_one && any_active(sb)))) {
		(void)reply_error(rp, 400, "auth_key_exists_for_account",
				  "An error occurred while processing your request.");
		return;
	}
	reply_json(rp, 200, made_json(make(sb, days)));
}

static void not_found(struct reply *rp)
{
	(void)reply_error(rp, 404, "not_found|auth_key", "The AuthKey could not be found.");
}

void authkeys_details(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	SBX_LOCKED(sb);
	if (check_call(sb, rq->n_segments == 5, rp) < 0)
		return;
	const struct auth_key *k = NULL;
	if (rq->n_segments == 5) {
		k = by_id(sb, rq->arg[0]);
	} else if (sb->n_auth_keys > 1) {
		(void)reply_error(rp, 400, "multiple_auth_keys", "The account has several: name one.");
		return;
	} else if (sb->n_auth_keys == 1) {
		k = &sb->auth_keys[0];
	}
	if (k)
		reply_json(rp, 200, details_json(sb, k));
	else
		not_found(rp);
}

void authkeys_delete(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	if (check_body(rq, rp) < 0)
		return;
	SBX_LOCKED(sb);
	if (check_call(sb, false, rp) < 0)
		return;
	struct auth_key *k = by_id(sb, rq->arg[0]);
	if (!k) {
		not_found(rp);
		return;
	}
	size_t rest = (size_t)(sb->auth_keys + sb->n_auth_keys - k) - 1;
	memmove(k, k + 1, rest * sizeof(*k));
	sb->n_auth_keys--;
	reply_bytes(rp, 204, "application/json", "", 0);
}

void authkeys_list(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	SBX_LOCKED(sb);
	if (check_call(sb, true, rp) < 0)
		return;
	struct json *list = json_new_arr();
	for (size_t i = 0; i < sb->n_auth_keys; i++)
		if (is_active(sb, &sb->auth_keys[i]))
			json_add(list, details_json(sb, &sb->auth_keys[i]));
	struct json *j = json_new_obj();
	json_set(j, "auth_keys", list);
	reply_json(rp, 200, j);
}

/* What an order says about AuthKeys must be possible; `must` when it cannot do without one. */
static int check_wish(const struct sandbox *sb, const struct order_wish *w, bool must, struct reply *rp)
{
	if (w->auth_key_id && sb->set.auth_keys_one)
		return reply_error(rp, 400, "unknown_field|auth_key_id", "The account has one AuthKey.");
	if ((must || w->auth_key_id) && !any_active(sb))
		return reply_error(rp, 400, "auth_key_not_setup",
				   "An error occurred while processing your request.");
	return 0;
}

int authkeys_choose(struct sandbox *sb, const char *product, const struct order_wish *w,
		    char ret[AUTHKEYS_TEXT_MAX], struct reply *rp)
{
	bool always = order_product_needs_auth_key(product);
	bool want = always || (w->use_auth_key_said ? w->use_auth_key : sb->set.auth_key_default_old);
	bool must = always || (w->use_auth_key_said && w->use_auth_key);
	ret[0] = '\0';
	if (check_wish(sb, w, must, rp) < 0)
		return -1;
	const struct auth_key *k = w->auth_key_id ? by_id(sb, w->auth_key_id) : everlasting(sb);
	if (w->auth_key_id && (!k || !is_active(sb, k)))
		return reply_error(rp, 400, "invalid_field|auth_key_id", "There is no such active AuthKey.");
	if (want && k)
		snprintf(ret, AUTHKEYS_TEXT_MAX, "%s", k->key);
	return 0;
}
