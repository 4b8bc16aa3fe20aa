/* SPDX-License-Identifier: Apache-2.0 */
/* Where the state folder is: on which machine and on which kind of disk. */
#include "daemon/store/home.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "daemon/ops/machine.h"

#define HERE  "0123456789abcdef0123456789abcdef"
#define THERE "fedcba9876543210fedcba9876543210"

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	char *dir = xstrdup("/tmp/test_home.XXXXXX");

	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	(void)nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

/* Warnings about the machine only: the disk of whoever runs the tests may be anything. */
static unsigned looks(const struct store *s, const char *machine)
{
	_cleanup_words_ struct words w = WORDS_INIT;
	unsigned n = 0;

	home_look(s, machine, &w);
	for (size_t i = 0; i < w.n; i++)
		n += strstr(w.list[i], "another machine") != NULL;
	return n;
}

static char *stored(const struct store *s)
{
	char *text = NULL;
	size_t len = 0;

	return fs_read_at(store_state_fd(s), "machine", 256, &text, &len, NULL) == 0 ? text : NULL;
}

static void test_machine(void **state)
{
	_cleanup_free_ char *dir = xasprintf("%s/s", (const char *)*state), *first = NULL, *last = NULL;
	struct store *s = NULL;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	assert_int_equal(looks(s, NULL), 0);
	first = stored(s);
	assert_null(first);
	assert_int_equal(looks(s, HERE), 0);
	first = stored(s);
	assert_string_equal(first, HERE "\n");
	assert_int_equal(looks(s, HERE), 0);
	for (int i = 0; i < 2; i++) /* until a person says which one it is */
		assert_int_equal(looks(s, THERE), 1);
	last = stored(s);
	assert_string_equal(last, HERE "\n");
	assert_int_equal(looks(s, HERE), 0);
	assert_int_equal(looks(s, NULL), 0);
	store_close(s);
}

static void test_damaged_machine_file(void **state)
{
	static const char *const TEXTS[] = {
		"", "\n", HERE, "x" HERE "\n", HERE HERE "\n", "0123456789ABCDEF0123456789ABCDEF\n"
	};
	_cleanup_free_ char *dir = xasprintf("%s/s", (const char *)*state);
	struct store *s = NULL;

	assert_int_equal(store_open(dir, &s, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(TEXTS); i++) {
		_cleanup_free_ char *now = NULL;

		assert_int_equal(
			fs_replace(store_state_fd(s), "machine", TEXTS[i], strlen(TEXTS[i]), 0600, NULL), 0);
		assert_int_equal(looks(s, THERE), 0);
		now = stored(s);
		assert_string_equal(now, THERE "\n");
	}
	store_close(s);
}

static void test_file_systems(void **state)
{
	(void)state;
	assert_non_null(strstr(home_file_system(0x6969), "NFS"));
	assert_non_null(strstr(home_file_system(0x65735546), "FUSE"));
	assert_non_null(strstr(home_file_system(0x794c7630), "overlay"));
	assert_non_null(strstr(home_file_system(0x01021994), "tmpfs"));
	assert_non_null(strstr(home_file_system(0xff534d42), "CIFS"));
	/* ext4, xfs, btrfs, zfs, f2fs */
	assert_null(home_file_system(0xef53));
	assert_null(home_file_system(0x58465342));
	assert_null(home_file_system(0x9123683e));
	assert_null(home_file_system(0x2fc12fc1));
	assert_null(home_file_system(0xf2f52010));
}

static void test_on_tmpfs(void **state)
{
	_cleanup_free_ char *dir = xasprintf("/dev/shm/test_home.%d", (int)getpid());
	_cleanup_words_ struct words w = WORDS_INIT;
	struct store *s = NULL;

	(void)state;
	if (access("/dev/shm", W_OK) < 0)
		skip();
	assert_int_equal(store_open(dir, &s, NULL), 0);
	home_look(s, NULL, &w);
	store_close(s);
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(w.n, 1);
	assert_non_null(strstr(w.list[0], "tmpfs"));
}

static void test_id(void **state)
{
	char a[MACHINE_ID_LEN + 1], b[MACHINE_ID_LEN + 1];
	_cleanup_free_ char *plain = NULL;
	size_t len = 0;

	(void)state;
	if (fs_read_at(AT_FDCWD, "/etc/machine-id", 256, &plain, &len, NULL) < 0 || machine_id(a) < 0)
		skip();
	assert_int_equal(machine_id(b), 0);
	assert_string_equal(a, b);
	assert_int_equal(strspn(a, "0123456789abcdef"), MACHINE_ID_LEN);
	assert_false(str_has_prefix(plain, a)); /* confidential */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_machine, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_machine_file, setup, teardown),
		cmocka_unit_test(test_file_systems),
		cmocka_unit_test(test_on_tmpfs),
		cmocka_unit_test(test_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
