/* SPDX-License-Identifier: Apache-2.0 */
/* The CA's look at http://NAME/.well-known/pki-validation/fileauth.txt. Every name is at 127.0.0.1; the
 * rules for redirects, times and sizes are those of DigiCert's domain-control-validation library. */
#pragma once

#include "tests/sandbox/proofs.h"

#include <stdatomic.h>

struct fetch_ports {
	unsigned http;
	unsigned https; /* only reached by redirects; the certificate there is not looked at */
};

/* True when the file of exactly this name holds the proof. Blocks for at most about 5 s; ends early when
 * *stop becomes true. Needs curl_global_init(). */
bool fetch_proves(const struct fetch_ports *ports, const char *name, const struct proof *proof,
		  const atomic_bool *stop);
