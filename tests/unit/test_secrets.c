/* SPDX-License-Identifier: Apache-2.0 */
#include "config/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_box.h"

#include <string.h>

struct world {
	struct box box;
	struct arena *arena;
	struct secrets *secrets;
};

static int setup(void **state)
{
	struct world *w = xmalloc(sizeof(*w));
	_cleanup_free_ char *creds = NULL;

	box_open(&w->box);
	box_mkdir(&w->box, "creds");
	creds = box_path(&w->box, "creds");
	w->arena = arena_new();
	w->secrets = secrets_new(w->box.dir, creds, w->arena);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	secrets_free(w->secrets);
	arena_free(w->arena);
	box_close(&w->box);
	free(w);
	return 0;
}

static void accept_as(struct world *w, const char *name, enum secret_kind kind, const char *wanted)
{
	struct secret *s = NULL;
	struct err err = ERR_INIT;

	if (secrets_load(w->secrets, name, kind, &s, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(secret_bytes(s), wanted);
	assert_int_equal(secret_len(s), strlen(wanted));
}

/* The text must name the file and the reason, and never show what is in it. */
static void refuse_as(struct world *w, const char *name, enum secret_kind kind, const char *part)
{
	struct secret *s = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(secrets_load(w->secrets, name, kind, &s, &err), -EINVAL);
	assert_null(s);
	if (!strstr(err.text, part) || !strstr(err.text, name) || strstr(err.text, "KEY"))
		fail_msg("%s: %s", name, err.text);
}

static void test_content(void **state)
{
	struct world *w = *state;

	box_write(&w->box, "plain", "KEY123");
	box_write(&w->box, "lf", "KEY123\n");
	box_write(&w->box, "crlf", "KEY123\r\n");
	accept_as(w, "plain", SECRET_API_KEY, "KEY123");
	accept_as(w, "lf", SECRET_API_KEY, "KEY123");
	accept_as(w, "crlf", SECRET_API_KEY, "KEY123");
	box_write(&w->box, "pass", "pass phrase ü\n");
	accept_as(w, "pass", SECRET_PASSPHRASE, "pass phrase ü");
	refuse_as(w, "pass", SECRET_API_KEY, "contains a blank (byte 5)");
}

static void test_bad_content(void **state)
{
	struct world *w = *state;

	box_write(&w->box, "empty", "");
	box_write(&w->box, "only-lf", "\n");
	box_write(&w->box, "two-lf", "KEY\n\n");
	box_write(&w->box, "two", "KEY1\nKEY2\n");
	box_write(&w->box, "cr", "KEY\r");
	box_write(&w->box, "tab", "KEY\t1");
	box_write(&w->box, "umlaut", "KEYü");
	box_write_bytes(&w->box, "nul", "KEY\0X", 5, 0600);
	refuse_as(w, "empty", SECRET_API_KEY, "is empty");
	refuse_as(w, "only-lf", SECRET_PASSPHRASE, "is empty");
	refuse_as(w, "two-lf", SECRET_API_KEY, "more than one line");
	refuse_as(w, "two", SECRET_PASSPHRASE, "more than one line");
	refuse_as(w, "cr", SECRET_API_KEY, "more than one line");
	refuse_as(w, "tab", SECRET_PASSPHRASE, "control character (byte 4)");
	refuse_as(w, "nul", SECRET_API_KEY, "control character (byte 4)");
	refuse_as(w, "umlaut", SECRET_API_KEY, "not ASCII");
}

static void test_size(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *data = xmalloc(SECRETS_FILE_MAX + 1);
	struct secret *s = NULL;

	memset(data, 'x', SECRETS_FILE_MAX + 1);
	box_write_bytes(&w->box, "max", data, SECRETS_FILE_MAX, 0600);
	box_write_bytes(&w->box, "more", data, SECRETS_FILE_MAX + 1, 0600);
	assert_int_equal(secrets_load(w->secrets, "max", SECRET_API_KEY, &s, NULL), 0);
	assert_int_equal(secret_len(s), SECRETS_FILE_MAX);
	refuse_as(w, "more", SECRET_API_KEY, "too large");
}

static void test_modes(void **state)
{
	struct world *w = *state;

	for (unsigned mode = 0; mode <= 0777; mode++) {
		char name[16];

		if (!(mode & 0400) && geteuid() != 0)
			continue;
		(void)snprintf(name, sizeof(name), "mode%04o", mode);
		box_write_bytes(&w->box, name, "KEY123\n", 7, mode);
		if (mode & 0005)
			refuse_as(w, name, SECRET_API_KEY, "is open to others");
		else if (mode & 0002)
			refuse_as(w, name, SECRET_API_KEY, "is writable by others");
		else if (mode & 0020)
			refuse_as(w, name, SECRET_API_KEY, "is writable by its group");
		else
			accept_as(w, name, SECRET_API_KEY, "KEY123");
	}
}

static void test_kinds_of_file(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *fifo = box_path(&w->box, "fifo");
	_cleanup_free_ char *link = box_path(&w->box, "link");
	_cleanup_free_ char *dangling = box_path(&w->box, "dangling");

	assert_int_equal(mkfifo(fifo, 0600), 0);
	box_write(&w->box, "target", "KEY123\n");
	assert_int_equal(symlink("target", link), 0);
	assert_int_equal(symlink("nowhere", dangling), 0);
	refuse_as(w, "fifo", SECRET_API_KEY, "not a regular file");
	refuse_as(w, "creds", SECRET_API_KEY, "is a directory");
	refuse_as(w, "/dev/null", SECRET_API_KEY, "not a regular file");
	refuse_as(w, "dangling", SECRET_API_KEY, "cannot be opened");
	accept_as(w, "link", SECRET_API_KEY, "KEY123");
	refuse_as(w, "absent", SECRET_API_KEY, "no such file: neither");
	refuse_as(w, "/nowhere/absent", SECRET_API_KEY, "no such file");
}

static void test_places(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *absolute = box_path(&w->box, "both");

	box_write(&w->box, "both", "beside");
	box_write(&w->box, "creds/both", "credential");
	box_write(&w->box, "beside", "beside");
	accept_as(w, "both", SECRET_PASSPHRASE, "credential");
	accept_as(w, absolute, SECRET_PASSPHRASE, "beside");
	accept_as(w, "beside", SECRET_PASSPHRASE, "beside");
	/* Never out of the credentials folder: this is the file beside the configuration's parent, absent. */
	refuse_as(w, "../both", SECRET_PASSPHRASE, "no such file");
	/* A credential that is wrong is not replaced by another file. */
	box_write(&w->box, "wrong", "right");
	box_write(&w->box, "creds/wrong", "");
	refuse_as(w, "wrong", SECRET_PASSPHRASE, "creds/wrong is empty");
}

#define TSIG "key a { algorithm hmac-sha256; secret \"KEYAAAAAAAAAAAAAAAAAAA==\"; };\n"

static void refuse_tsig(struct world *w, const char *name, int code, const char *part)
{
	const struct tsig_key *key = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(secrets_load_tsig(w->secrets, name, &key, &err), code);
	assert_null(key);
	if (!strstr(err.text, part) || !strstr(err.text, name) || strstr(err.text, "KEY"))
		fail_msg("%s: %s", name, err.text);
}

/* Found and refused like the others; the content is config/tsig.c's business. */
static void test_tsig(void **state)
{
	struct world *w = *state;
	const struct tsig_key *key = NULL;
	struct err err = ERR_INIT;

	refuse_tsig(w, "tsig", -ENOENT, "no such file: neither");
	box_write_bytes(&w->box, "tsig", TSIG, strlen(TSIG), 0660);
	refuse_tsig(w, "tsig", -EPERM, "is writable by its group");
	box_write(&w->box, "tsig", TSIG TSIG);
	refuse_tsig(w, "tsig", -EINVAL, "tsig: line 2: a second key");
	box_write(&w->box, "tsig", "");
	refuse_tsig(w, "tsig", -EINVAL, "line 1");
	box_write(&w->box, "tsig", TSIG);
	assert_int_equal(secrets_load_tsig(w->secrets, "tsig", &key, &err), 0);
	assert_string_equal(secret_bytes(key->secret), "KEYAAAAAAAAAAAAAAAAAAA==");
	box_write(&w->box, "creds/tsig", "nothing");
	refuse_tsig(w, "tsig", -EINVAL, "creds/tsig: line 1: does not begin");
}

static void test_shared(void **state)
{
	struct world *w = *state;
	struct secret *a = NULL;
	struct secret *b = NULL;

	box_write(&w->box, "k", "KEY123");
	assert_int_equal(secrets_load(w->secrets, "k", SECRET_API_KEY, &a, NULL), 0);
	assert_int_equal(secrets_load(w->secrets, "k", SECRET_API_KEY, &b, NULL), 0);
	assert_ptr_equal(a, b);
}

static void test_unreadable(void **state)
{
	struct world *w = *state;

	if (geteuid() == 0)
		skip();
	box_write_bytes(&w->box, "locked", "KEY123", 6, 0);
	refuse_as(w, "locked", SECRET_API_KEY, "Permission denied");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds_of_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tsig, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
