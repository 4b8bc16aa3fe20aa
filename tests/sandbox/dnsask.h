/* SPDX-License-Identifier: Apache-2.0 */
/* The CA's look into DNS: one server (--dns), blocking, with a thread's patience of a few seconds. The places
 * are those of DigiCert's domain-control-validation library: _dnsauth.NAME first, then NAME. */
#pragma once

#include "tests/sandbox/proofs.h"

#include <stdatomic.h>

/* ADDR:PORT or [v6]:PORT, as --dns takes it. */
bool dnsask_server_is_good(const char *server);
/* Is the proof in any TXT record there? CNAMEs are followed, at most 8. A star in front of the name is
 * left out. Blocks for at most about 5 s; ends early when *stop becomes true. */
bool dnsask_txt_proves(const char *server, const char *name, const struct proof *p, const atomic_bool *stop);
/* Is _dnsauth.NAME a CNAME of VALUE.dcv.digicert.com? */
bool dnsask_cname_proves(const char *server, const char *name, const char *value, const atomic_bool *stop);
