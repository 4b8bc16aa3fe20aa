/* SPDX-License-Identifier: Apache-2.0 */
/* The proofs of one order: which records or file its values make, and which of those in a record are still needed. Pure. */
#pragma once

#include "config/model.h"
#include "daemon/core/record.h"

/* What a CNAME proof points to is the random value below this (CertCentral, "Use the DNS CNAME DCV method"). */
#define PROOF_CNAME_SUFFIX ".dcv.digicert.com"

/* Where the CA looks for a proof in DNS: label and name of each name of the order, without the star of a wildcard, each once.
 * names are blank separated, and so is the result, which the caller frees. label "@" is the name itself. */
char *proof_names(const char *names, const char *label);

/* Lists in rec what the job needs to put up: job->dcv_token in the webroot, or at job->targets (TXT) or the names themselves (CNAME).
 * Nothing for the responder and e-mail. True when there is any. Where the list would become longer than a record may be, old ones are
 * forgotten: they stay in DNS, where they harm nobody. */
bool proof_record(struct record *rec, const struct cfg_domain *spec);

/* A value as it stands in fileauth.txt: each of several request tokens on a line of its own. Caller frees. */
char *proof_file_text(const char *value);

/* Does the job need this one now? False without a job. */
bool proof_is_needed(const struct record *rec, const struct record_proof *p);

/* May proofs for this method be made before the order is placed (request tokens: TXT and HTTP only)? */
bool proof_can_be_early(enum cfg_dcv_method m);

/* Is it proven by records that a DNS provider writes? */
bool proof_is_dns(enum cfg_dcv_method m);
