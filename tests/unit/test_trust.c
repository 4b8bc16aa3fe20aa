/* SPDX-License-Identifier: Apache-2.0 */
/* Which paths may be followed. As root other owners are tried too. */
#include "daemon/helper/trust.h"

#include "common/mem.h"
#include "tests/unit/config_box.h"

#include <string.h>
#include <unistd.h>

static struct box b;

static int setup(_unused_ void **state)
{
	umask(022);
	box_open(&b);
	return 0;
}

static int teardown(_unused_ void **state)
{
	box_close(&b);
	return 0;
}

static void make_link(const char *name, const char *target)
{
	_cleanup_free_ char *path = box_path(&b, name);

	assert_int_equal(symlink(target, path), 0);
}

static void set_mode(const char *name, mode_t mode)
{
	_cleanup_free_ char *path = box_path(&b, name);

	assert_int_equal(chmod(path, mode), 0);
}

/* 0, or the error; words: of its text. */
static int look(int fn(const char *path, struct err *reterr), const char *name, const char *words)
{
	_cleanup_free_ char *path = box_path(&b, name);
	struct err e = ERR_INIT;
	int fd = fn(path, &e);

	if (fd >= 0)
		close(fd);
	else if (!strstr(e.text, words))
		fail_msg("\"%s\" is not in: %s", words, e.text);
	return MIN(fd, 0);
}

static void test_firm(_unused_ void **state)
{
	box_mkdir(&b, "a");
	box_mkdir(&b, "a/b");
	box_write(&b, "a/b/file", "x");
	make_link("a/short", "b");
	make_link("again", "./a/../a//short");
	assert_int_equal(look(trust_open, "a/b/file", ""), 0);
	assert_int_equal(look(trust_open, "a/./b//file", ""), 0);
	assert_int_equal(look(trust_open, "again/file", ""), 0);
	assert_int_equal(look(trust_open, "a/b/none", "a/b/none"), -ENOENT);
	assert_int_equal(look(trust_open, "a/b/file/x", ""), -ENOTDIR);
	assert_int_equal(look(trust_open_folder, "again/", ""), 0);
	assert_int_equal(look(trust_open_folder, "a/b/file", ""), -ENOTDIR);
	assert_int_equal(trust_open("relative", NULL), -EINVAL);
}

static void test_absolute_links(_unused_ void **state)
{
	_cleanup_free_ char *target = box_path(&b, "a");

	box_mkdir(&b, "a");
	box_write(&b, "a/file", "x");
	make_link("link", target);
	assert_int_equal(look(trust_open, "link/file", ""), 0);
	make_link("loop", "loop");
	assert_int_equal(look(trust_open, "loop", "loop"), -ELOOP);
	make_link("to", "from");
	make_link("from", "to");
	assert_int_equal(look(trust_open, "to/x", "cannot follow"), -ELOOP);
}

static void test_loose(_unused_ void **state)
{
	box_mkdir(&b, "a");
	box_mkdir(&b, "a/b");
	box_write(&b, "a/b/file", "x");
	set_mode("a/b/file", 0620);
	assert_int_equal(look(trust_open, "a/b/file", "file can be written by others (mode 0620)"), -EPERM);
	set_mode("a/b/file", 0600);
	set_mode("a/b", 0770);
	assert_int_equal(look(trust_open, "a/b/file", "a/b can be written"), -EPERM);
	set_mode("a/b", 0700);
	set_mode("a", 0702);
	assert_int_equal(look(trust_open, "a/b/file", "/a can be written"), -EPERM);
	/* Sticky: a folder of ours cannot be moved away there, but who knows who made a file. */
	set_mode("a", 01777);
	assert_int_equal(look(trust_open, "a/b/file", ""), 0);
	box_write(&b, "a/file", "x");
	make_link("a/link", "b");
	assert_int_equal(look(trust_open, "a/file", "/a can be written"), -EPERM);
	assert_int_equal(look(trust_open, "a/link/file", "/a can be written"), -EPERM);
}

static void test_folders_of_others(_unused_ void **state)
{
	box_mkdir(&b, "a");
	box_mkdir(&b, "a/b");
	box_mkdir(&b, "a/b/c");
	make_link("a/b/link", "c");
	make_link("a/up", "b");
	set_mode("a/b", 0777);
	assert_int_equal(look(trust_open_folder, "a/b/c", ""), 0);
	assert_int_equal(look(trust_open_folder, "a/up/c", ""), 0); /* the link is in a firm folder */
	assert_int_equal(look(trust_open_folder, "a/b/link", "a/b/link is a symbolic link"), -ELOOP);
	assert_int_equal(look(trust_open_folder, "a/b/../b/c", ".."), -ELOOP);
	/* A firm folder in a loose one may have been put there. */
	make_link("a/b/c/deep", "/tmp");
	assert_int_equal(look(trust_open_folder, "a/b/c/deep", "a/b/c/deep is a symbolic link"), -ELOOP);
	assert_int_equal(look(trust_open, "a/b/c", "/a/b can be written"), -EPERM);
}

static void test_owners(_unused_ void **state)
{
	_cleanup_free_ char *folder = box_path(&b, "a");

	if (geteuid() != 0)
		skip();
	box_mkdir(&b, "a");
	box_write(&b, "a/file", "x");
	make_link("a/link", "/tmp");
	assert_int_equal(chown(folder, 45004, 45004), 0);
	assert_int_equal(look(trust_open, "a/file", "/a belongs to user 45004"), -EPERM);
	assert_int_equal(look(trust_open_folder, "a", ""), 0);
	assert_int_equal(look(trust_open_folder, "a/link", "symbolic link"), -ELOOP);
}

static void test_config(_unused_ void **state)
{
	box_mkdir(&b, "etc");
	box_write(&b, "etc/x.yaml", "");
	assert_int_equal(look(trust_check_config, "etc/x.yaml", ""), 0);
	box_mkdir(&b, "etc/conf.d");
	assert_int_equal(look(trust_check_config, "etc/x.yaml", ""), 0);
	box_write(&b, "etc/conf.d/a.yaml", "");
	box_write(&b, "etc/conf.d/note", "");
	box_write(&b, "etc/conf.d/.hidden.yaml", "");
	set_mode("etc/conf.d/note", 0666); /* nobody reads these two */
	set_mode("etc/conf.d/.hidden.yaml", 0666);
	assert_int_equal(look(trust_check_config, "etc/x.yaml", ""), 0);
	set_mode("etc/conf.d/a.yaml", 0666);
	assert_int_equal(look(trust_check_config, "etc/x.yaml", "conf.d/a.yaml can be written"), -EPERM);
	set_mode("etc/conf.d/a.yaml", 0600);
	make_link("etc/conf.d/b.yaml", "nowhere");
	assert_int_equal(look(trust_check_config, "etc/x.yaml", "nowhere"), -ENOENT);
	box_mkdir(&b, "etc/conf.d/c.yaml");
	assert_int_equal(look(trust_check_config, "etc/none.yaml", "none.yaml"), -ENOENT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_firm),   TEST(test_absolute_links), TEST(test_loose), TEST(test_folders_of_others),
		TEST(test_owners), TEST(test_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
