/* SPDX-License-Identifier: Apache-2.0 */
/* The grammars of single values. Each function checks one and, when the final form differs from what was
 * written, returns it in *ret (owned by the caller); otherwise *ret is left alone. -EINVAL with a text
 * that says what is wrong and what would be right. */
#pragma once

#include "common/base.h"
#include "common/err.h"

typedef int value_fn(const char *in, char **ret, struct err *reterr);

/* https, a host, perhaps a port and a path; no user, query or fragment. Slashes at the end are dropped. */
int value_url(const char *in, char **ret, struct err *reterr) _must_check_;
/* The same, and the path ends in /services/v2, once. */
int value_certcentral_url(const char *in, char **ret, struct err *reterr) _must_check_;
/* http://HOST:PORT. */
int value_proxy(const char *in, char **ret, struct err *reterr) _must_check_;
/* ADDR:PORT or [ADDR]:PORT, never a name. */
int value_addr_port(const char *in, char **ret, struct err *reterr) _must_check_;
/* An address of a DNS server: ADDR, ADDR:PORT or [ADDR]:PORT, never a name. An IPv6 address alone gets its brackets. */
int value_server(const char *in, char **ret, struct err *reterr) _must_check_;
/* A DNS zone: like a host name, but "_" and a single label are possible. Lower case, no final dot. */
int value_zone(const char *in, char **ret, struct err *reterr) _must_check_;
/* LOCAL@DOMAIN as in RFC 5321 without quotes; the domain is a host name in its final form. */
int value_email(const char *in, char **ret, struct err *reterr) _must_check_;
/* "_dnsauth" or "@". */
int value_label(const char *in, char **ret, struct err *reterr) _must_check_;
/* Absolute, no ".." in it. Slashes at the end are dropped. */
int value_path(const char *in, char **ret, struct err *reterr) _must_check_;
/* The same, short enough for a Unix socket (107 bytes, unix(7)). */
int value_socket_path(const char *in, char **ret, struct err *reterr) _must_check_;
/* ADDR:PORT with a loopback address, or unix:PATH. */
int value_local_listen(const char *in, char **ret, struct err *reterr) _must_check_;
/* A path that ends in .prom. */
int value_textfile(const char *in, char **ret, struct err *reterr) _must_check_;
/* [A-Za-z0-9_-]{1,64}: CertCentral's own words. */
int value_word(const char *in, char **ret, struct err *reterr) _must_check_;
/* Host names: see name_normalize(). */
int value_host(const char *in, char **ret, struct err *reterr) _must_check_;
int value_host_or_wildcard(const char *in, char **ret, struct err *reterr) _must_check_;
/* [v6]:PORT, ADDR:PORT or HOST:PORT. */
int value_connect(const char *in, char **ret, struct err *reterr) _must_check_;
/* A file to write: a path whose last part is a name; "{name}" may stand in it, and no other brace. */
int value_copy_path(const char *in, char **ret, struct err *reterr) _must_check_;
/* An account or group: a name as useradd(8) takes it, or a number. */
int value_account(const char *in, char **ret, struct err *reterr) _must_check_;
/* A service of systemd; ".service" is added when it is not there. */
int value_unit(const char *in, char **ret, struct err *reterr) _must_check_;
