/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: lines to requests, requests to verbs, answers to lines. One request of a client
 * is open at a time; its answer is what allows the next one, so that answers need no numbers. */
#include "daemon/ops/control.h"

#include "common/mem.h"
#include "common/str.h"
#include "daemon/io/unixsock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sysexits.h>

#define REQUEST_MAX (64UL * 1024)
#define NAME_CAP    255U
#define ANSWER_MAX  (64UL * 1024 * 1024)
#define SOCKET_MODE 0660

struct control_request {
	TAILQ_ENTRY(control_request) entry;
	struct control *control;
	struct unixsock_client *client;
	struct control_query query;
	void *data;
};

struct control {
	struct unixsock *sock;
	const struct control_verb *verbs;
	size_t n_verbs;
	void (*gone)(struct control_request *rq, void *arg);
	void *arg;
	TAILQ_HEAD(, control_request) open;
};

/* --- what a line asks for ------------------------------------------------------------------------------ */

static int unknown_verb(const char *name, const struct control_verb *verbs, size_t n_verbs,
			struct err *reterr)
{
	_cleanup_free_ const char **names = xcalloc(n_verbs + 1, sizeof *names);
	char shown[64];
	const char *near = NULL;

	for (size_t i = 0; i < n_verbs; i++)
		names[i] = verbs[i].name;
	(void)str_escape(name, strlen(name), shown, sizeof shown);
	near = str_suggest(name, names, n_verbs);
	if (near)
		return err_set(reterr, -EBADMSG, "unknown verb \"%s\" (did you mean \"%s\"?)", shown, near);
	return err_set(reterr, -EBADMSG, "unknown verb \"%s\"", shown);
}

static int check_names(const struct control_query *q, struct err *reterr)
{
	size_t n = json_arr_len(q->names);

	for (size_t i = 0; i < n; i++) {
		const char *name = json_str(json_arr_at(q->names, i));

		if (!name || name[0] == '\0' || strlen(name) > NAME_CAP)
			return err_set(reterr, -EBADMSG, "names[%zu]: expected a name of 1 to %u bytes", i,
				       NAME_CAP);
	}
	if (n == 0 && q->verb->needs_names)
		return err_set(reterr, -EBADMSG, "%s needs at least one name", q->verb->name);
	return 0;
}

int control_parse(const char *line, size_t len, const struct control_verb *verbs, size_t n_verbs,
		  struct control_query *ret, struct err *reterr)
{
	_cleanup_(json_freep) struct json *args = NULL;
	struct control_query q = { 0 };
	const char *verb = NULL;
	int r = json_parse(line, len, REQUEST_MAX, &args, reterr);

	if (r < 0)
		return -EBADMSG;
	if (json_type(args) != JSON_OBJECT)
		return err_set(reterr, -EBADMSG, "a request is an object");
	if (json_get_str(args, "verb", &verb) != 1)
		return err_set(reterr, -EBADMSG, "a request needs a \"verb\"");
	if (json_get_arr(args, "names", &q.names) < 0)
		return err_set(reterr, -EBADMSG, "\"names\" must be an array");
	for (size_t i = 0; i < n_verbs && !q.verb; i++)
		if (strcmp(verbs[i].name, verb) == 0)
			q.verb = &verbs[i];
	if (!q.verb)
		return unknown_verb(verb, verbs, n_verbs, reterr);
	r = check_names(&q, reterr);
	if (r < 0)
		return r;
	q.args = TAKE_PTR(args);
	*ret = q;
	return 0;
}

/* --- answers --------------------------------------------------------------------------------------------- */

static struct json *as_refusal(struct json *j, int exit_code, const char *text)
{
	json_set_bool(j, "ok", false);
	json_set_i64(j, "code", exit_code);
	json_set_str(j, "error", text);
	return j;
}

static void send_json(struct unixsock_client *client, const struct json *j)
{
	struct strbuf sb = STRBUF_INIT(ANSWER_MAX);

	json_write(j, 0, &sb);
	if (strbuf_ok(&sb)) {
		unixsock_send(client, strbuf_str(&sb), sb.len, false);
	} else {
		static const char too_long[] =
			"{\"ok\":false,\"code\":70,\"error\":\"the answer is too long\"}";

		unixsock_send(client, too_long, strlen(too_long), true);
	}
	strbuf_done(&sb);
}

static void refuse(struct unixsock_client *client, int exit_code, const char *text)
{
	_cleanup_(json_freep) struct json *j = as_refusal(json_new_obj(), exit_code, text);

	send_json(client, j);
}

static void request_free(struct control_request *rq)
{
	TAILQ_REMOVE(&rq->control->open, rq, entry);
	json_free(rq->query.args);
	free(rq);
}

/* The request is over before its answer is on the way: the client may send the next one at once. */
static void request_end(struct control_request *rq, const struct json *answer)
{
	struct unixsock_client *client = rq->client;

	request_free(rq);
	unixsock_hold(client, false);
	send_json(client, answer);
}

void control_answer(struct control_request *rq, struct json *answer)
{
	json_set_bool(answer, "ok", true);
	request_end(rq, answer);
	json_free(answer);
}

void control_refuse(struct control_request *rq, int exit_code, const char *fmt, ...)
{
	_cleanup_(json_freep) struct json *j = NULL;
	char text[ERR_TEXT_MAX] = "";
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	j = as_refusal(json_new_obj(), exit_code, text);
	request_end(rq, j);
}

void control_refuse_with(struct control_request *rq, int exit_code, struct json *answer, const char *text)
{
	_cleanup_(json_freep) struct json *j = as_refusal(answer, exit_code, text);

	request_end(rq, j);
}

/* --- clients --------------------------------------------------------------------------------------------- */

static bool on_accept(const struct unixsock_peer *peer, const char **refusal, _unused_ void *arg)
{
	if (peer->uid == 0 || peer->uid == geteuid())
		return true;
	*refusal = "{\"ok\":false,\"code\":77,\"error\":\"only root and the daemon's own user may do this\"}";
	return false;
}

static struct control_request *request_of(const struct control *c, const struct unixsock_client *client)
{
	struct control_request *rq = NULL;

	TAILQ_FOREACH(rq, &c->open, entry)
	if (rq->client == client)
		break;
	return rq;
}

static void on_line(struct unixsock_client *client, const char *line, size_t len, void *arg)
{
	struct control *c = arg;
	struct control_query query = { 0 };
	struct control_request *rq = NULL;
	struct err err = ERR_INIT;

	if (request_of(c, client)) {
		refuse(client, EX_USAGE, "the previous request of this connection is still open");
		return;
	}
	if (control_parse(line, len, c->verbs, c->n_verbs, &query, &err) < 0) {
		refuse(client, EX_USAGE, err.text);
		return;
	}
	rq = xmalloc(sizeof *rq);
	rq->control = c;
	rq->client = client;
	rq->query = query;
	TAILQ_INSERT_TAIL(&c->open, rq, entry);
	unixsock_hold(client, true);
	query.verb->fn(rq, c->arg);
}

static void on_gone(struct unixsock_client *client, void *arg)
{
	struct control *c = arg;
	struct control_request *rq = request_of(c, client);

	if (!rq)
		return;
	if (c->gone)
		c->gone(rq, c->arg);
	request_free(rq);
}

int control_new(struct loop *l, const char *path, const struct control_verb *verbs, size_t n_verbs,
		void (*gone)(struct control_request *rq, void *arg), void *arg, struct control **ret,
		struct err *reterr)
{
	static const struct unixsock_ops ops = { .accept = on_accept, .line = on_line, .gone = on_gone };
	_cleanup_free_ struct control *c = xmalloc(sizeof *c);
	int r = 0;

	c->verbs = verbs;
	c->n_verbs = n_verbs;
	c->gone = gone;
	c->arg = arg;
	TAILQ_INIT(&c->open);
	r = unixsock_new(l, path, SOCKET_MODE, &ops, c, &c->sock, reterr);
	if (r < 0) {
		err_prefix(reterr, "control socket");
		return r;
	}
	*ret = TAKE_PTR(c);
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	unixsock_free(c->sock); /* on_gone for each client: no request is left */
	free(c);
}

const struct json *control_args(const struct control_request *rq)
{
	return rq->query.args;
}

size_t control_n_names(const struct control_request *rq)
{
	return json_arr_len(rq->query.names);
}

const char *control_name(const struct control_request *rq, size_t i)
{
	return json_str(json_arr_at(rq->query.names, i));
}

void control_set_data(struct control_request *rq, void *data)
{
	rq->data = data;
}

void *control_data(const struct control_request *rq)
{
	return rq->data;
}
