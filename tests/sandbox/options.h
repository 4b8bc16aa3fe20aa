/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. Answers --help and --version itself. */
#pragma once

#include "common/base.h"
#include "tests/sandbox/state.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct options {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct sockaddr_storage pki_addr; /* plain HTTP for OCSP and CRLs */
	socklen_t pki_addr_len;		  /* 0 = none */
	char *dir;
	char *api_key_file; /* NULL = DIR/api-key */
	char **scutum;	    /* HOST:ID:KEYFILE */
	size_t n_scutum;
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_USAGE };

/* Fills o, and the settings, faults and rates of sb. Complaints go to stderr. options_done in any case. */
enum options_result options_parse(int argc, char **argv, struct options *o, struct sandbox *sb);
void options_done(struct options *o);
