/* SPDX-License-Identifier: Apache-2.0 */
/* The header lines of one request. Those with a secret value are remembered, because peers repeat in their error pages what
 * they were sent, and error texts end up in logs and in the status. */
#pragma once

#include "common/base.h"

#include <curl/curl.h>

struct headers {
	struct curl_slist *lines; /* for libcurl; may hold secrets */
	struct curl_slist *secrets;
};

/* "name: value"; false when it would break out of its line. A secret value is struck out of the answer. */
bool headers_add(struct headers *h, const char *name, const char *value, size_t len,
		 bool is_secret) _must_check_;
/* A line that is ours, as libcurl wants it. */
void headers_add_line(struct headers *h, const char *line);
/* Something secret that is not in a header. */
void headers_hide(struct headers *h, const char *secret);
/* Writes '*' over each secret in the text, also as JSON spells it. Secrets of less than eight bytes stay: too much would be
 * taken for one of them. */
void headers_strike(const struct headers *h, char *text, size_t len);
/* Wipes and frees all. */
void headers_done(struct headers *h);
