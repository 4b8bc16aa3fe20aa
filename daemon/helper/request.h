/* SPDX-License-Identifier: Apache-2.0 */
/* The one line that the daemon sends, and the one line that it gets. Pure.
 *
 *   {"do":"files","name":"www.example.jp","target":"files:/etc/haproxy/certs/www.pem","generation":2}
 *   {"do":"reload","name":"www.example.jp","target":"reload:nginx.service"}
 *   {"ok":true}
 *   {"ok":false,"code":"files","message":"cannot write ..."} */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "common/strbuf.h"

#define REQUEST_MAX	   4096 /* bytes of a line, its newline included; of the answer too */
#define ANSWER_MESSAGE_MAX 380	/* bytes that a reader shows */

enum request_verb { REQUEST_FILES, REQUEST_RELOAD };

struct request {
	enum request_verb verb;
	char *name;	     /* of a domain; may name a folder */
	char *target;	     /* "files:...", "reload:..." */
	unsigned generation; /* files: from 1; reload: 0 */
};

/* A line without its newline. -EBADMSG with what is wrong. Nothing else may be in it than the members above. */
int request_parse(const char *line, size_t len, struct request *ret, struct err *reterr) _must_check_;
void request_done(struct request *r);

/* The remedy, in a message, where the rights of whoever runs the helper are not enough. */
#define HELPER_NEEDED "this needs systemctl enable --now dvcertd-helper.socket"

enum answer { ANSWER_OK, ANSWER_FILES, ANSWER_RELOAD, ANSWER_TEST, ANSWER_REFUSED };

/* Adds the line with its newline; message (escaped, cut at ANSWER_MESSAGE_MAX) is for all but ANSWER_OK. */
void answer_write(enum answer a, const char *message, struct strbuf *sb);
