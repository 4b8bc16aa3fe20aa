/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS handshake as a browser makes it (TLS 1.2 or 1.3, SNI, ALPN for h2 and http/1.1), in memory: what the server sends is fed in,
 * what it is to get is pulled out. It shows what the server presents and trusts none of it; that the server holds the key of
 * its certificate is proven by the handshake itself.
 *
 * One handshake costs a millisecond or two, and a hostile peer cannot make it cost much more: no finite-field groups are offered, an
 * RSA key has at most 16,384 bits, and above 3,072 bits a small exponent (OpenSSL's limits; the worst one costs some 15 ms), what is
 * received is capped. So it may run on the loop. */
#pragma once

#include "common/base.h"
#include "common/err.h"
#include "daemon/pki/served.h"

#define HANDSHAKE_RECEIVED_MAX (256U << 10) /* bytes; a chain of ten large certificates has 40 KiB */

struct handshake;

/* kind: of which kind of certificate the server is asked for; ANY as browsers do. -EINVAL: the name is none; -EIO. */
int handshake_new(const char *server_name, enum served_kind kind, struct handshake **ret,
		  struct err *reterr) _must_check_;
void handshake_free(struct handshake *h);
DEFINE_CLEANUP(struct handshake *, handshake_free)

/* Takes what the server sent; the first call is with nothing. 1: complete, and what is pulled next ends with a close_notify. 0: more
 * is needed. -EPROTO: it failed, with a sentence without a subject ("answers plain text..."); pull sends the alert. Not to be called after 1
 * or an error.
 *
 * A server that asks for a certificate of ours and, not getting one, ends the handshake has presented its own: complete. */
int handshake_feed(struct handshake *h, const void *data, size_t len, struct err *reterr) _must_check_;
/* The server closed the connection: 1 or -EPROTO, as above. */
int handshake_eof(struct handshake *h, struct err *reterr) _must_check_;

/* What has to be sent now: at most size bytes; 0 when there is no more. */
size_t handshake_pull(struct handshake *h, void *buf, size_t size);

/* The chain, once; NULL unless complete. The caller frees. */
struct served *handshake_take_served(struct handshake *h);
