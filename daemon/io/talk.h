/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation over TCP with one address, in bytes, with one deadline for all of it and a cap on what is received. What the bytes
 * mean is the owner's business. */
#pragma once

#include "daemon/io/loop.h"

#include <sys/socket.h>

struct talk;

struct talk_spec {
	const struct sockaddr_storage *to;
	int64_t timeout_ms; /* from now to the end of the conversation */
	size_t received_max;

	void (*on_open)(void *owner); /* connected */
	void (*on_data)(const char *data, size_t len, void *owner);
	/* Exactly once, last. 0: the peer closed, or talk_finish() is through. Negative errno: -ETIMEDOUT (the deadline, or nobody
	 * answers), -ECONNREFUSED, -ECONNRESET, -EMSGSIZE (more than received_max), ... */
	void (*on_end)(int r, void *owner);
	void *owner;
};

/* Copies the spec. Contract of callbacks: head of loop.h; each may call the functions below. */
void talk_start(struct loop *l, const struct talk_spec *spec, struct talk **ret);
/* Copies; only between on_open and talk_finish. */
void talk_send(struct talk *t, const void *data, size_t len);
/* Sends what is queued, says that no more comes, and drops what the peer still sends until it closes too, for a second at most: who
 * simply closes with bytes unread sends a reset, and the peer's log shows an error. Then on_end(0). */
void talk_finish(struct talk *t);
/* Closes at once; silence from now on; clears *t. NULL content accepted. */
void talk_cancel(struct talk **t);
