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

static const struct auth_key *by_id(const struct sandbox *sb, const char *id)
{
	for (size_t i = 0; i < sb->n_auth_keys; i++)
		if (!strcmp(sb->auth_keys[i].id, id))
			return &sb->auth_keys[i];
	return NULL;
}

/* These endpoints belong to the account: a key limited to orders may not reach them. */
static int check_scope(const struct sandbox *sb, struct reply *rp)
{
	return sb->set.scope_orders ? reply_error(rp, 403, "access_denied|missing_permission",
						  "You do not have permission to perform this action.")
				    : 0;
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

void authkeys_create(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	_cleanup_(json_freep) struct json *body = rq->body.len ? fields_body(rq, rp) : NULL;
	uint64_t days = 0;
	if (rq->body.len && (!body || fields_check(body, "", NULL, 0, rp) < 0))
		return;
	SBX_LOCKED(sb);
	if (check_scope(sb, rp) < 0)
		return;
	if (rq->n_segments == 5 && (str_parse_u64(rq->arg[0], &days) < 0 || days < 1 || days > DAYS_MAX)) {
		(void)reply_error(rp, 400, "invalid_field|days", "Must be 1 or more days.");
		return;
	}
	if (!days && everlasting(sb)) {
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
	if (check_scope(sb, rp) < 0)
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

void authkeys_list(struct sandbox *sb, const struct request *rq, struct reply *rp)
{
	(void)rq;
	SBX_LOCKED(sb);
	if (check_scope(sb, rp) < 0)
		return;
	struct json *list = json_new_arr();
	for (size_t i = 0; i < sb->n_auth_keys; i++)
		if (is_active(sb, &sb->auth_keys[i]))
			json_add(list, details_json(sb, &sb->auth_keys[i]));
	struct json *j = json_new_obj();
	json_set(j, "auth_keys", list);
	reply_json(rp, 200, j);
}

int authkeys_choose(struct sandbox *sb, const struct order_wish *w, char ret[AUTHKEYS_TEXT_MAX],
		    struct reply *rp)
{
	bool want = w->use_auth_key_said ? w->use_auth_key : sb->set.auth_key_default_old;
	const struct auth_key *k = w->auth_key_id ? by_id(sb, w->auth_key_id) : everlasting(sb);
	bool said = w->auth_key_id || (w->use_auth_key_said && w->use_auth_key);
	ret[0] = '\0';
	if (said && sb->n_auth_keys == 0)
		return reply_error(rp, 400, "auth_key_not_setup",
				   "An error occurred while processing your request.");
	if (w->auth_key_id && (!k || !is_active(sb, k)))
		return reply_error(rp, 400, "invalid_field|auth_key_id", "There is no such active AuthKey.");
	if (want && k)
		snprintf(ret, AUTHKEYS_TEXT_MAX, "%s", k->key);
	return 0;
}
