/* SPDX-License-Identifier: Apache-2.0 */
/* dvcertd: arguments, then app_run(). */
#include "config/load.h"
#include "daemon/app.h"
#include "daemon/pki/key.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

static const char USAGE[] =
	"usage: dvcertd [-c FILE] [--check]\n"
	"\n"
	"Keeps the DV certificates that FILE declares alive.\n"
	"\n"
	"  -c, --config FILE  configuration (default " CONFIG_DEFAULT_FILE ")\n"
	"      --check        read the configuration, print every problem, exit 0 or 78\n"
	"      --version      print the version\n"
	"  -h, --help         this text\n"
	"\n"
	"Runs in the foreground. SIGHUP reads the configuration again, SIGTERM ends it.\n";

static int usage_error(void)
{
	fprintf(stderr, "try: dvcertd --help\n");
	return EX_USAGE;
}

int main(int argc, char **argv)
{
	static const struct option OPTIONS[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *file = CONFIG_DEFAULT_FILE;
	bool check = false;
	int opt;

	pki_begin();
	while ((opt = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
		switch (opt) {
		case 'c': file = optarg; break;
		case 'k': check = true; break;
		case 'v': printf("dvcertd %s\n", DVCERT_VERSION); return 0;
		case 'h': fputs(USAGE, stdout); return 0;
		default: return usage_error();
		}
	}
	if (optind < argc) {
		fprintf(stderr, "dvcertd: unexpected argument \"%s\"\n", argv[optind]);
		return usage_error();
	}
	return check ? app_check(file) : app_run(file);
}
