/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's multi interface on the loop: sockets, the timer, and the collection of finished transfers.
 * For http.c only, which owns the easy handles (passed as void *, which is what CURL is). */
#pragma once

#include "daemon/io/loop.h"

struct curlmulti;

/* Called for each finished transfer, with its CURLcode; it must take the handle out with
 * curlmulti_remove(), and start or free nothing. */
typedef void curlmulti_finished_fn(void *easy, int code, void *arg);
/* Called after libcurl has run and all finished transfers were reported: may do anything, also free. */
typedef void curlmulti_turn_fn(void *arg);

int curlmulti_new(struct loop *l, unsigned max_host_connections, curlmulti_finished_fn *finished,
		  curlmulti_turn_fn *turn, void *arg, struct curlmulti **ret,
		  struct err *reterr) _must_check_;
/* All handles must have been removed. Closes the idle connections. NULL accepted. */
void curlmulti_free(struct curlmulti *m);

/* Nothing happens before the next turn of the loop. 0 or -EIO. */
int curlmulti_add(struct curlmulti *m, void *easy) _must_check_;
void curlmulti_remove(struct curlmulti *m, void *easy);
