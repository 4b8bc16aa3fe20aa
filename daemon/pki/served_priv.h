/* SPDX-License-Identifier: Apache-2.0 */
/* Between handshake.c, which collects a chain, and served.c, which judges it. */
#pragma once

#include "daemon/pki/internal.h"
#include "daemon/pki/served.h"

/* Of a stack as OpenSSL keeps it, at least one and at most CHAIN_CERTS_MAX of them; NULL when one cannot be encoded. */
struct served *served_new(const STACK_OF(X509) * stack);
