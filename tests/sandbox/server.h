/* SPDX-License-Identifier: Apache-2.0 */
/* MHD with a thread per connection (handlers may sleep or fetch), TLS by the sandbox's own root, and a plain
 * side for OCSP and CRLs. Turns connections into struct request and struct reply back into bytes, or into their absence. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "tests/sandbox/state.h"

struct server;

/* listen_fd is a bound, listening socket and is taken over in any case. cert_pem NULL: the plain side. */
int server_start(struct sandbox *sb, int listen_fd, const char *cert_pem, const char *key_pem,
		 struct server **ret, struct err *reterr) _must_check_;
/* Call sbx_stop() first, or handlers that sleep are waited for. */
void server_stop(struct server *s);
