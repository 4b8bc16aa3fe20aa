/* SPDX-License-Identifier: Apache-2.0 */
/* One copy at its place. What only two users can show is in tests/e2e/test_helper.py. */
#include "daemon/helper/copy.h"

#include "common/fs.h"
#include "common/mem.h"
#include "common/str.h"
#include "tests/unit/config_box.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

static struct box b;
static char *path;

static int setup(_unused_ void **state)
{
	umask(077);
	box_open(&b);
	box_mkdir(&b, "d");
	path = box_path(&b, "d/x.pem");
	return 0;
}

static int teardown(_unused_ void **state)
{
	free(path);
	box_close(&b);
	return 0;
}

static int put(const char *text, mode_t mode)
{
	struct copy c = { .path = path, .text = text, .uid = geteuid(), .gid = getegid(), .mode = mode };
	struct err e = ERR_INIT;
	int r = copy_write(&c, &e);

	assert_true(r >= 0 || e.text[0] != '\0');
	return r;
}

static void check(const char *text, mode_t mode)
{
	_cleanup_free_ char *got = NULL;
	size_t len = 0;
	struct stat st;

	assert_int_equal(fs_read_at(AT_FDCWD, path, 2 * COPY_MAX, &got, &len, NULL), 0);
	assert_string_equal(got, text);
	assert_int_equal(len, strlen(text));
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | mode);
}

static size_t entries(void)
{
	_cleanup_free_ char *dir = box_path(&b, "d");
	DIR *d = opendir(dir);
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void test_new_same_other(_unused_ void **state)
{
	struct stat before, after;

	assert_int_equal(put("one", 0600), 1);
	check("one", 0600);
	assert_int_equal(lstat(path, &before), 0);
	assert_int_equal(put("one", 0600), 0);
	assert_int_equal(lstat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(put("one", 0644), 1);
	check("one", 0644);
	assert_int_equal(put("ones", 0644), 1);
	assert_int_equal(put("on", 0644), 1);
	assert_int_equal(put("", 0644), 1);
	check("", 0644);
	assert_int_equal(put("", 0644), 0);
	assert_int_equal(entries(), 1);
}

static void test_sizes(_unused_ void **state)
{
	_cleanup_free_ char *text = xmalloc(COPY_MAX + 2);

	memset(text, 'x', COPY_MAX);
	assert_int_equal(put(text, 0600), 1);
	check(text, 0600);
	text[COPY_MAX - 1] = 'y';
	assert_int_equal(put(text, 0600), 1);
	text[COPY_MAX] = 'x';
	assert_int_equal(put(text, 0600), -EFBIG);
	text[COPY_MAX] = '\0';
	check(text, 0600);
}

static void test_not_replaced(_unused_ void **state)
{
	box_mkdir(&b, "d/x.pem");
	assert_int_equal(put("one", 0600), -EEXIST);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("other", path), 0);
	assert_int_equal(put("one", 0600), -EEXIST);
	assert_int_equal(entries(), 1);
	assert_int_equal(unlink(path), 0);
	free(path);
	path = box_path(&b, "none/x.pem");
	assert_int_equal(put("one", 0600), -ENOENT);
}

static void test_hard_link_is_let_go(_unused_ void **state)
{
	_cleanup_free_ char *other = box_path(&b, "d/other");
	struct stat st;

	assert_int_equal(put("one", 0600), 1);
	assert_int_equal(link(path, other), 0);
	assert_int_equal(put("one", 0600), 1);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_nlink, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_same_other),
		TEST(test_sizes),
		TEST(test_not_replaced),
		TEST(test_hard_link_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
