/* SPDX-License-Identifier: Apache-2.0 */
/* A line server on a unix socket: one line in, any number of lines out, per client. Bounded: 128 clients,
 * 64 KiB a line, idle clients are dropped after 30 s unless a request of theirs is open, and a client that does not
 * read is dropped when more than 16 MiB wait for it. Who comes when there are 128 takes the place of the one that has been there
 * longest without a request: clients that hang cannot keep others out. */
#pragma once

#include "daemon/io/loop.h"

#include <sys/types.h>

struct unixsock;
struct unixsock_client;

struct unixsock_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

struct unixsock_ops {
	/* May this peer talk? False closes the connection after `refusal` (a line) was sent. */
	bool (*accept)(const struct unixsock_peer *peer, const char **refusal, void *arg);
	/* One line, NUL-terminated, without its newline. The client handle may be kept to answer later,
	 * until gone() is called for it. */
	void (*line)(struct unixsock_client *c, const char *line, size_t len, void *arg);
	void (*gone)(struct unixsock_client *c, void *arg);
};

/* Binds path with the given mode. A stale socket (nobody listens) is replaced, a live one is
 * -EADDRINUSE, another kind of file is -EEXIST. A path too long for sun_path is -ENAMETOOLONG, with the limit in the text. */
int unixsock_new(struct loop *l, const char *path, mode_t mode, const struct unixsock_ops *ops, void *arg,
		 struct unixsock **ret, struct err *reterr) _must_check_;
/* Closes all clients (gone() is called for each) and removes the socket file. NULL accepted. */
void unixsock_free(struct unixsock *s);

/* Sends text and a newline (copied). close_after: close once it is sent. */
void unixsock_send(struct unixsock_client *c, const char *text, size_t len, bool close_after);
/* While hold is true the client is not dropped for being idle (a `wait` is open). */
void unixsock_hold(struct unixsock_client *c, bool hold);

/* Another time than 30 s; for tests. */
void unixsock_set_idle_ms(struct unixsock *s, int64_t ms);
