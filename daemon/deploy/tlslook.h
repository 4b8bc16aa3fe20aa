/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificate does a server present? One connection to one address, one TLS handshake (pki/handshake.h), a proper good-bye. */
#pragma once

#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"
#include "daemon/pki/served.h"

#include <sys/socket.h>

#define TLSLOOK_TIMEOUT_MS 10000 /* for connecting and the handshake together, when ask->timeout_ms is 0 */

struct tlslook;

struct tlslook_ask {
	struct sockaddr_storage to;
	const char *server_name; /* copied */
	enum served_kind kind;	 /* of certificate, for servers that have more than one */
	int64_t timeout_ms;
};

struct tlslook_result {
	/* NONE: see served. UNSENT, code "connect": no connection, then error is why. UNCLEAR, code "tls": the handshake failed. The
	 * message is a sentence without its subject ("refuses the connection..."). */
	struct outcome outcome;
	int error;		     /* negative errno; 0 */
	const struct served *served; /* valid during the callback; NULL unless NONE */
};

typedef void tlslook_done_fn(const struct tlslook_result *r, void *owner);

/* Contract of callbacks: head of io/loop.h. */
void tlslook_start(struct loop *l, const struct tlslook_ask *ask, tlslook_done_fn *done, void *owner,
		   struct tlslook **ret);
/* Closes the connection; silence from now on; clears *t. NULL content accepted. */
void tlslook_cancel(struct tlslook **t);
