/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over its corpus, without a fuzzer: what a fuzzer found once is a test from then on.
 * Arguments are files or directories; without any, tests/fuzz/corpus/<name> for the program fuzz_<name>
 * (run from the top of the source). A crash is the sanitizer's to report; an input that takes longer
 * than a second, or an empty corpus, is a failure here. */
#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (64UL * 1024 * 1024)
#define SLOW_MS	  1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned n_inputs;
static unsigned n_failures;

static void fail(const char *path, const char *why)
{
	(void)fprintf(stderr, "%s: %s\n", path, why);
	n_failures++;
}

static void run_file(const char *path)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_free_ uint8_t *exact = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;
	int64_t start_ms = 0;
	int64_t took_ms = 0;

	if (fs_read_at(AT_FDCWD, path, INPUT_MAX, &data, &len, &err) < 0) {
		fail(path, err.text);
		return;
	}
	/* A copy without the terminating NUL, so that reading one byte too far is seen. */
	exact = len > 0 ? xmemdup(data, len) : NULL;
	n_inputs++;
	start_ms = clock_mono_ms();
	(void)LLVMFuzzerTestOneInput(exact ? exact : (const uint8_t *)"", len);
	took_ms = clock_mono_ms() - start_ms;
	if (took_ms > SLOW_MS)
		fail(path, "takes longer than a second");
}

static int is_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* A directory may hold directories once (one per source of inputs). */
static void run_path(const char *path, unsigned depth)
{
	struct dirent **entries = NULL;
	struct stat st;
	int n = 0;

	if (stat(path, &st) < 0) {
		fail(path, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	n = depth < 2 ? scandir(path, &entries, is_visible, alphasort) : 0;
	if (n < 0)
		fail(path, strerror(errno));
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *child = xasprintf("%s/%s", path, entries[i]->d_name);

		run_path(child, depth + 1);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *program = slash ? slash + 1 : argv[0];
	const char *name = str_has_prefix(program, "fuzz_") ? program + 5 : program;
	_cleanup_free_ char *corpus = xasprintf("tests/fuzz/corpus/%s", name);

	for (int i = 1; i < argc; i++)
		run_path(argv[i], 0);
	if (argc < 2)
		run_path(corpus, 0);
	if (n_inputs == 0)
		fail(argc < 2 ? corpus : argv[1], "no inputs");
	(void)printf("fuzz_%s: %u inputs, %u failures\n", name, n_inputs, n_failures);
	return n_failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
