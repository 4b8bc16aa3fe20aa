/* SPDX-License-Identifier: Apache-2.0 */
/* Carries one DNS message to one server and its answer back, for messages that somebody else makes (dynamic updates, which
 * c-ares does not know). Knows of the message only its header: id, opcode, and the bits QR and TC. Look-ups belong to dns.h. */
#pragma once

#include "daemon/core/outcome.h"
#include "daemon/io/loop.h"

#define DNSWIRE_HEADER_LEN 12	 /* RFC 1035 section 4.1.1 */
#define DNSWIRE_UDP_MAX	   512	 /* longer messages go over TCP: nobody has promised to take them by UDP */
#define DNSWIRE_ANSWER_MAX 16384 /* answers of an update or for one SOA have some hundred bytes */

struct dnswire_call;

struct dnswire_query {
	const char *server;  /* "ADDR", "ADDR:PORT", "[v6]", "[v6]:PORT"; port 53 when there is none */
	const void *message; /* copied */
	size_t len;	     /* DNSWIRE_HEADER_LEN to 65535 */
	bool tcp;	     /* do not try UDP */
	int64_t timeout_ms;  /* for everything; 0 = 10,000 */
	int64_t retry_ms;    /* until the first retransmission over UDP, doubled each time; 0 = 1,000 */
};

struct dnswire_result {
	/* FAULT_NONE: an answer with our id and opcode came, whatever it says. FAULT_UNSENT: the server cannot have seen the
	 * message. Else FAULT_UNCLEAR; code is "timeout", "connect", "connection", "garbage", "too-large", "address". */
	struct outcome outcome;
	const unsigned char
		*answer; /* valid during the callback; at least DNSWIRE_HEADER_LEN bytes, or NULL */
	size_t len;
	bool tcp; /* it came over TCP */
};

typedef void dnswire_done_fn(const struct dnswire_result *r, void *owner);

/* UDP with retransmission (the same bytes, so the message must be one that may arrive twice), then TCP when the answer is
 * truncated; TCP at once when asked for or when the message is long. Datagrams that are no answer to this message are dropped, those of
 * another sender never seen. See the head of loop.h for when it calls back. */
void dnswire_start(struct loop *l, const struct dnswire_query *q, dnswire_done_fn *done, void *owner,
		   struct dnswire_call **ret);
/* Silence from now on; clears *c. NULL content, and the call that is being told, are accepted. */
void dnswire_cancel(struct dnswire_call **c);
