/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in server for fileauth.txt: answers by Host, so that any number of orders can be validated at once behind one
 * proxy rule of the web server. */
#pragma once

#include "daemon/io/server.h"

struct responder;
int responder_new(struct loop *l, const char *listen, struct responder **ret,
		  struct err *reterr) _must_check_;
void responder_free(struct responder *r);

/* For http://name/...: serve token. Several tokens for one name are all served, one per line (the CA takes any). Adding the same pair twice
 * counts once. */
void responder_add(struct responder *r, const char *name, const char *token);
void responder_remove(struct responder *r, const char *name, const char *token);
unsigned responder_port(const struct responder *r);
