/* SPDX-License-Identifier: Apache-2.0 */
/* What the world answered. An outcome is a value that the core decides about, never an error path.
 * Only certcentral/problem.c, deploy/, dcv/, watch/, those of io/ that meet the world, and the runner's own gates assign fault classes;
 * only core/ reads them. */
#pragma once

#include "common/base.h"

enum fault {
	FAULT_NONE,
	FAULT_UNSENT,	 /* never left us (no route, TLS, DNS), or surely not taken but it may pass: repeat */
	FAULT_UNCLEAR,	 /* time-out, dropped connection, 5xx, garbage: it may have taken effect */
	FAULT_THROTTLED, /* 429: not processed; everything of this key waits */
	FAULT_REFUSED,	 /* final for this input: repeating it cannot help */
	FAULT_DUPLICATE, /* the CA says that our reference exists already: look the order up */
	FAULT_AUTH,	 /* the key is not accepted or lacks a right */
	FAULT_CONFIG,	 /* wrong URL, product or account set-up */
	FAULT_NOT_FOUND, /* order or certificate unknown (yet) */
	FAULT_LOCAL,	 /* our own machine: disk, memory, permission */
	FAULT_BAD_CERT,	 /* what was downloaded may not be installed */
	FAULT_BUSY,	 /* another of our domains uses the same place (webroot file) */
	FAULT_NR
};

const char *fault_name(enum fault f);

#define OUTCOME_CODE_MAX    64
#define OUTCOME_MESSAGE_MAX 400

struct outcome {
	enum fault fault;
	int http_status;		   /* 0: none */
	int64_t retry_after;		   /* seconds from now; 0: the other side named none */
	char code[OUTCOME_CODE_MAX];	   /* "invalid_dns_txt", "Invalid Key", "connect", ... */
	char message[OUTCOME_MESSAGE_MAX]; /* for people, one line, no secrets */
};

#define OUTCOME_OK                                                                                           \
	{                                                                                                    \
		.fault = FAULT_NONE                                                                          \
	}

/* May it pass by itself, with nobody doing anything? Not for NONE. What a phase makes of that is its own business: a post that
 * is UNCLEAR is not simply repeated. */
bool fault_may_pass(enum fault f);

/* Fills an outcome; returns it, for chaining. */
struct outcome *outcome_set(struct outcome *o, enum fault f, const char *code, const char *fmt, ...)
	_printf_(4, 5);
