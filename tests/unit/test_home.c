/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder on odd file systems and on another machine. */
#include "daemon/store/home.h"

#include "common/fs.h"
#include "common/mem.h"

#include <dirent.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#define MACHINE "0123456789abcdef0123456789abcdef"

static void test_file_systems(_unused_ void **state)
{
	static const uint64_t good[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, 0 };
	static const uint64_t bad[] = { NFS_SUPER_MAGIC,  0xff534d42, SMB2_SUPER_MAGIC,	     V9FS_MAGIC,
					CEPH_SUPER_MAGIC, 0x65735546, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC,
					RAMFS_MAGIC };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_null(home_file_system(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_non_null(home_file_system(bad[i]));
	assert_non_null(strstr(home_file_system(NFS_SUPER_MAGIC), "NFS"));
}

struct home {
	char dir[64];
	char path[128];
	struct store *store;
	struct words said;
};

static bool open_below(struct home *h, const char *top)
{
	(void)snprintf(h->dir, sizeof h->dir, "%s/test_home.XXXXXX", top);
	if (!mkdtemp(h->dir))
		return false;
	(void)snprintf(h->path, sizeof h->path, "%s/s", h->dir);
	assert_int_equal(store_open(h->path, &h->store, NULL), 0);
	return true;
}

static const char *look(struct home *h, const char *machine)
{
	words_done(&h->said);
	memset(&h->said, 0, sizeof h->said);
	assert_int_equal(home_look(h->store, machine, &h->said), 0);
	return h->said.n > 0 ? h->said.list[h->said.n - 1] : "";
}

static void close_and_remove(struct home *h)
{
	static const char *const names[] = { "state/machine", "state/lock", "state", "archive", "live", "" };

	words_done(&h->said);
	store_close(h->store);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", h->path, names[i]);

		(void)remove(path);
	}
	assert_int_equal(rmdir(h->dir), 0);
}

/* The daemon starts all the same, and says it. */
static void test_memory_only(_unused_ void **state)
{
	struct home h = { 0 };
	struct statfs st;

	if (statfs("/dev/shm", &st) < 0 || st.f_type != TMPFS_MAGIC || !open_below(&h, "/dev/shm"))
		skip();
	assert_non_null(strstr(look(&h, NULL), "state_dir is on tmpfs: "));
	close_and_remove(&h);
}

static void test_machine(_unused_ void **state)
{
	struct home h = { 0 };
	size_t n;

	assert_true(open_below(&h, "/tmp"));
	(void)look(&h, NULL);
	n = h.said.n; /* what /tmp is on */
	assert_int_equal(faccessat(store_state_fd(h.store), "machine", F_OK, 0), -1);
	(void)look(&h, MACHINE);
	(void)look(&h, MACHINE);
	assert_int_equal(h.said.n, n);
	assert_non_null(strstr(look(&h, "ffffffffffffffffffffffffffffffff"), "another machine"));
	/* Told until a person says that it is right. */
	assert_non_null(strstr(look(&h, "ffffffffffffffffffffffffffffffff"), "another machine"));
	(void)look(&h, MACHINE);
	assert_int_equal(h.said.n, n);
	close_and_remove(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_systems),
		cmocka_unit_test(test_memory_only),
		cmocka_unit_test(test_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
