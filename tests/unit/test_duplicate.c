/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a duplicate: what is made, what is used again, and what is never replaced. */
#include "daemon/ctl/duplicate.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fs.h"
#include "common/mem.h"
#include "daemon/pki/key.h"

static const char DOMAIN[] =
	"{\"names\":[\"a.example\",\"b.example\"],\"key\":{\"type\":\"ec\",\"curve\":\"P-384\"}}";

static char root[64];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof(root), "/tmp/test_duplicate.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int type,
		      _unused_ struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static char *at(const char *name)
{
	return xasprintf("%s/%s", root, name);
}

static void put(const char *name, const char *text)
{
	_cleanup_close_ int fd = fs_open_dir(AT_FDCWD, root, NULL);

	assert_true(fd >= 0);
	if (strncmp(name, "d/", 2) == 0) {
		_cleanup_close_ int dir = fs_open_dir(fd, "d", NULL);

		assert_int_equal(fs_replace(dir, name + 2, text, strlen(text), 0600, NULL), 0);
		return;
	}
	assert_int_equal(fs_replace(fd, name, text, strlen(text), 0600, NULL), 0);
}

static char *get(const char *name)
{
	_cleanup_free_ char *path = at(name);
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(fs_read_at(AT_FDCWD, path, 65536, &text, &len, NULL), 0);
	return text;
}

static int begin(const char *csr_file, struct duplicate *ret, struct err *e)
{
	_cleanup_(json_freep) struct json *domain = NULL;
	_cleanup_free_ char *dir = at("d"), *csr = csr_file ? at(csr_file) : NULL;

	assert_int_equal(json_parse(DOMAIN, strlen(DOMAIN), 4096, &domain, NULL), 0);
	return duplicate_begin(dir, csr, domain, ret, e);
}

static void refuses(const char *csr_file, int code, const char *said)
{
	struct duplicate d = { .dir_fd = -1 };
	struct err e = ERR_INIT;

	assert_int_equal(begin(csr_file, &d, &e), code);
	if (!strstr(e.text, said))
		fail_msg("\"%s\" does not say \"%s\"", e.text, said);
}

static void test_key_and_request_are_made_once(void **state)
{
	struct duplicate d = { .dir_fd = -1 }, again = { .dir_fd = -1 };
	_cleanup_free_ char *key = NULL, *key2 = NULL, *csr = NULL, *path = at("d/privkey.pem");
	_cleanup_(key_freep) struct key *k = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(begin(NULL, &d, NULL), 0);
	key = get("d/privkey.pem");
	csr = get("d/request.csr");
	assert_string_equal(csr, d.csr);
	assert_int_equal(key_from_pem(key, strlen(key), &k, NULL), 0);
	assert_true(key_matches(k, KEY_EC_P384, 0));
	assert_true(csr_belongs(csr, strlen(csr), k));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* One at a time. */
	refuses(NULL, -EBUSY, "another dvcertctl");
	duplicate_done(&d);
	assert_int_equal(begin(NULL, &again, NULL), 0);
	assert_string_equal(again.csr, csr);
	key2 = get("d/privkey.pem");
	assert_string_equal(key2, key);
	duplicate_done(&again);
}

static void test_a_crash_between_key_and_request(void **state)
{
	struct duplicate d = { .dir_fd = -1 };
	_cleanup_free_ char *key = NULL, *key2 = NULL, *path = at("d/request.csr");

	(void)state;
	assert_int_equal(begin(NULL, &d, NULL), 0);
	duplicate_done(&d);
	key = get("d/privkey.pem");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(begin(NULL, &d, NULL), 0);
	key2 = get("d/privkey.pem");
	assert_string_equal(key2, key);
	duplicate_done(&d);
}

static void test_files_of_others_stay(void **state)
{
	struct duplicate d = { .dir_fd = -1 };
	_cleanup_free_ char *text = NULL, *path = at("d/privkey.pem");

	(void)state;
	assert_int_equal(begin(NULL, &d, NULL), 0);
	duplicate_done(&d);
	assert_int_equal(unlink(path), 0);
	refuses(NULL, -EINVAL, "in the way"); /* a request whose key is gone */
	put("d/privkey.pem", "mine\n");
	refuses(NULL, -EBADMSG, "in the way");
	text = get("d/privkey.pem");
	assert_string_equal(text, "mine\n");
}

static void test_request_of_somebody_else(void **state)
{
	static const char *const NAMES[] = { "a.example" };
	struct duplicate d = { .dir_fd = -1 };
	_cleanup_(key_freep) struct key *k = NULL, *other = NULL;
	_cleanup_free_ char *csr = NULL, *csr2 = NULL;
	_cleanup_wipe_ char *pem = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_EC_P256, 0, &k, NULL), 0);
	assert_int_equal(csr_make(k, NAMES, 1, &csr, NULL), 0);
	assert_int_equal(key_generate(KEY_EC_P256, 0, &other, NULL), 0);
	assert_int_equal(csr_make(other, NAMES, 1, &csr2, NULL), 0);
	assert_int_equal(key_to_pem(k, NULL, &pem, NULL), 0);
	put("key", pem);
	refuses("key", -EBADMSG, "private key");
	refuses("absent", -ENOENT, "absent");
	put("a.csr", csr);
	put("b.csr", csr2);
	assert_int_equal(begin("a.csr", &d, NULL), 0);
	assert_true(csr_same(d.csr, csr));
	duplicate_done(&d);
	assert_int_equal(begin("a.csr", &d, NULL), 0);
	duplicate_done(&d);
	refuses("b.csr", -EINVAL, "another request");
}

static void test_folder_that_is_not_safe(void **state)
{
	_cleanup_free_ char *open_dir = at("open");
	struct duplicate d = { .dir_fd = -1 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(mkdir(open_dir, 0700), 0);
	assert_int_equal(chmod(open_dir, 0777), 0);
	assert_int_equal(duplicate_begin(open_dir, NULL, NULL, &d, &e), -EINVAL);
	assert_non_null(strstr(e.text, "others may write"));
	assert_true(duplicate_begin("/nowhere/at/all", NULL, NULL, &d, &e) < 0);
}

static void finish_fails(struct duplicate *d, const char *text, const char *said)
{
	_cleanup_(json_freep) struct json *answer = NULL;
	_cleanup_free_ char *path = at("d/cert.pem");
	struct err e = ERR_INIT;

	assert_int_equal(json_parse(text, strlen(text), 65536, &answer, NULL), 0);
	assert_int_equal(duplicate_finish(d, answer, &e), -EPROTO);
	assert_non_null(strstr(e.text, said));
	assert_int_not_equal(access(path, F_OK), 0);
}

static void test_what_is_not_for_the_key_is_not_written(void **state)
{
	struct duplicate d = { .dir_fd = -1 };

	(void)state;
	assert_int_equal(begin(NULL, &d, NULL), 0);
	finish_fails(&d, "{\"cert\":\"x\",\"chain\":\"\"}", "fullchain");
	finish_fails(&d, "{\"cert\":\"x\",\"chain\":\"\",\"fullchain\":\"x\"}", "not for this key");
	duplicate_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_key_and_request_are_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_crash_between_key_and_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_of_others_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_of_somebody_else, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_that_is_not_safe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_not_for_the_key_is_not_written, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
