/* SPDX-License-Identifier: Apache-2.0 */
/* The windows over restarts: processes that are killed, files that are damaged, clocks that jump, other boots and keys. First the file
 * alone, then the client on a clock of the test's own. */
#include "tests/unit/fake_io.h"

#include "daemon/certcentral/asked.h"
#include "daemon/certcentral/client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/fs.h"

#define KEY	 7
#define WALL	 INT64_C(1800000000)
#define FILE_MAX 200000

static char dir_path[] = "/tmp/test_asked.XXXXXX";
static int dir_fd = -1;

/* The longest window is the judge of what is known. */
static const struct rates_limit LIMITS[] = { { 100, 5000 }, { 5000, 180000 } };

static int group_setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir_path));
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0;
}

static int group_teardown(void **state)
{
	(void)state;
	(void)unlinkat(dir_fd, ASKED_FILE, 0);
	(void)close(dir_fd);
	return rmdir(dir_path);
}

static int fresh(void **state)
{
	(void)state;
	(void)unlinkat(dir_fd, ASKED_FILE, 0);
	return 0;
}

/* A process that asks n times, 10 ms from one to the next, the last at last_ms, leaves some under way, and is killed. */
static void life(uint16_t key, unsigned n, unsigned under_way, int64_t last_ms)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct asked *a = asked_open(dir_fd, key);
		struct rates *r = rates_new(LIMITS, 2);

		if (!a)
			_exit(99);
		asked_recall(a, last_ms, WALL + last_ms / 1000, r);
		for (unsigned i = n; i-- > 0;) {
			asked_begin(a, last_ms - 10 * i, WALL + (last_ms - 10 * i) / 1000);
			asked_end(a, last_ms - 10 * i, WALL + (last_ms - 10 * i) / 1000);
		}
		for (unsigned i = 0; i < under_way; i++)
			asked_begin(a, last_ms, WALL + last_ms / 1000);
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

/* How many of the last `per_ms` the next process knows of, which starts at now_ms. The caller sees the file as it leaves it. */
static unsigned known(uint16_t key, int64_t now_ms, int64_t now, int64_t per_ms)
{
	const struct rates_limit window = { 5000, per_ms };
	_cleanup_(rates_freep) struct rates *r = rates_new(LIMITS, 2);
	_cleanup_(asked_closep) struct asked *a = asked_open(dir_fd, key);

	assert_non_null(a);
	asked_recall(a, now_ms, now, r);
	return 5000 - rates_left_of(r, &window, now_ms);
}

static unsigned known_later(int64_t ms, int64_t per_ms)
{
	return known(KEY, ms, WALL + ms / 1000, per_ms);
}

static void test_killed(void **state)
{
	(void)state;
	assert_int_equal(known_later(1000, 5000), 0);
	life(KEY, 10, 3, 100000);
	/* After 5 s the ten are old; the three count from the first start after them. */
	assert_int_equal(known_later(100050, 5000), 13);
	assert_int_equal(known_later(105020, 5000), 3);
	assert_int_equal(known_later(105020, 180000), 13);
	life(KEY, 0, 2, 200000);
	assert_int_equal(known_later(204000, 5000), 2);
	assert_int_equal(known_later(208999, 5000), 2);
	assert_int_equal(known_later(209000, 5000), 0);
}

/* Nobody is restarted only once. */
static void test_many_lives(void **state)
{
	(void)state;
	for (int i = 1; i <= 12; i++)
		life(KEY, 300, i % 3 ? 0 : 1, 100000 + i * 3000);
	/* More than there is room for: the latest. */
	assert_int_equal(known_later(136000, 3000), 300 + 1);
	assert_int_equal(known_later(136000, 5991), 600 + 1);
	assert_int_equal(known_later(136000, 180000), ASKED_MAX);
}

static void test_more_under_way_than_places(void **state)
{
	(void)state;
	life(KEY, 1, ASKED_UNDER_WAY + 50, 100000);
	assert_int_equal(known_later(100000, 5000), 1 + ASKED_UNDER_WAY);
}

/* The monotonic clock begins anew. Where it shows that, the clock on the wall decides, to a second; where it does not, what was
 * asked looks younger than it is, never older. */
static void test_other_boot(void **state)
{
	(void)state;
	life(KEY, 10, 2, 100000);
	/* Up for 7 s, 20 s later. */
	assert_int_equal(known(KEY, 7000, WALL + 120, 5000), 2);
	fresh(NULL);
	life(KEY, 10, 0, 100000);
	assert_int_equal(known(KEY, 7000, WALL + 120, 19000), 0);
	assert_int_equal(known(KEY, 7000, WALL + 120, 21001), 10);
	/* Up for longer than the last time. */
	assert_int_equal(known(KEY, 101000, WALL + 3600, 5000), 10);
	assert_int_equal(known(KEY, 106000, WALL + 3605, 5000), 0);
	/* A clock that went back, or was wrong: nothing is known, nothing waits. */
	assert_int_equal(known(KEY, 7000, WALL + 90, 180000), 0);
	assert_int_equal(known(KEY, 7000, 0, 180000), 0);
	assert_int_equal(known(KEY, 7000, WALL * 2, 180000), 0);
}

static void test_clock_jumps_within_a_boot(void **state)
{
	static const int64_t JUMPS[] = { -WALL, -7200, 7200, WALL };

	(void)state;
	life(KEY, 10, 0, 100000);
	for (size_t i = 0; i < ARRAY_SIZE(JUMPS); i++)
		assert_int_equal(known(KEY, 101000, WALL + 101 + JUMPS[i], 5000), 10);
	/* Too long ago for any window. */
	assert_int_equal(known_later(100000 + ASKED_MEMORY_MS + 200, ASKED_MEMORY_MS * 2), 0);
	assert_int_equal(known_later(100000 + ASKED_MEMORY_MS - 200, ASKED_MEMORY_MS * 2), 10);
}

static void test_other_key(void **state)
{
	_cleanup_(asked_closep) struct asked *a = NULL;

	(void)state;
	life(KEY, 10, 2, 100000);
	assert_int_equal(known(KEY + 1, 101000, WALL + 101, 5000), 0);
	life(KEY + 1, 5, 0, 102000);
	assert_int_equal(known(KEY, 103000, WALL + 103, 5000), 10);
	/* Changed by a reload. */
	a = asked_open(dir_fd, KEY);
	asked_begin(a, 103000, WALL + 103);
	asked_set_key(a, KEY + 1);
	asked_end(a, 103000, WALL + 103);
	asked_close(TAKE_PTR(a));
	assert_int_equal(known(KEY + 1, 104000, WALL + 104, 5000), 6);
}

/* --- damage --- */

static char image[FILE_MAX];
static size_t image_len;

static void take_image(void)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(fs_read_at(dir_fd, ASKED_FILE, FILE_MAX, &text, &image_len, NULL), 0);
	memcpy(image, text, image_len);
}

static void put_image(const char *data, size_t len)
{
	_cleanup_close_ int fd = -1;

	(void)unlinkat(dir_fd, ASKED_FILE, 0);
	fd = openat(dir_fd, ASKED_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
}

static void test_flipped_bits(void **state)
{
	(void)state;
	life(KEY, 2, 1, 100000);
	take_image();
	for (size_t i = 0; i < image_len; i++) {
		for (unsigned bit = 0; image[i] != 0 && bit < 8; bit++) {
			unsigned n;

			image[i] = (char)(image[i] ^ 1 << bit);
			put_image(image, image_len);
			n = known_later(101000, 180000);
			assert_int_equal(n, 2); /* that one is not believed, the others are */
			image[i] = (char)(image[i] ^ 1 << bit);
		}
	}
}

static void test_garbage(void **state)
{
	static char garbage[FILE_MAX];

	(void)state;
	life(KEY, 30, 4, 100000);
	take_image();
	for (size_t len = 0; len <= image_len; len += 1 + len / 3) {
		put_image(image, len);
		assert_true(known_later(101000, 180000) <= 34);
	}
	for (int round = 0; round < 50; round++) {
		clock_random(garbage, image_len);
		if (round == 0)
			memset(garbage, 0, image_len);
		if (round == 1)
			memset(garbage, 0xff, image_len);
		put_image(garbage, round % 2 ? image_len * 2 : image_len);
		assert_int_equal(known_later(101000, 180000), 0);
		/* And it is as good as new. */
		life(KEY, 20, 1, 100000);
		assert_int_equal(known_later(101000, 180000), 21);
	}
	/* Blocks that are of another place. */
	put_image(image + 40, image_len - 40);
	assert_true(known_later(101000, 180000) <= 4);
}

static void test_no_file(void **state)
{
	_cleanup_(rates_freep) struct rates *r = rates_new(LIMITS, 2);
	struct asked *a;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, ASKED_FILE, 0700), 0);
	a = asked_open(dir_fd, KEY);
	assert_null(a);
	asked_recall(a, 1, 1, r);
	asked_begin(a, 1, 1);
	asked_end(a, 1, 1);
	asked_set_key(a, 1);
	asked_close(a);
	assert_int_equal(unlinkat(dir_fd, ASKED_FILE, AT_REMOVEDIR), 0);
}

/* --- the client --- */

static struct loop loop;
static struct config config;
static int64_t sent_ms[4096];
static size_t n_sent, n_got;

static void answer(struct http_call *c)
{
	assert_true(n_sent < ARRAY_SIZE(sent_ms));
	sent_ms[n_sent++] = fake_now_ms;
	fake_say(c, 200, "{\"id\":7,\"status\":\"pending\"}");
	c->at_ms = fake_now_ms + 300;
}

static void done(const struct cc_reply *r, void *owner)
{
	(void)r;
	(void)owner;
	n_got++;
}

/* Killed without a warning: what the file holds at this moment is what the next one finds. */
static void run_and_kill(int64_t ms)
{
	struct cc *cc = NULL;

	assert_int_equal(cc_new(&loop, &config, &cc, NULL), 0);
	cc_keep_rates(cc, dir_fd);
	for (int i = 0; i < 1500; i++)
		cc_order_info(cc, i, i, done, NULL, NULL);
	fake_run(&loop, ms);
	take_image();
	cc_free(cc);
	put_image(image, image_len);
}

static void test_windows_hold_over_restarts(void **state)
{
	(void)state;
	config.refs = 1000;
	config.certcentral.url = "https://ca.example/services/v2";
	config.certcentral.api_key = secret_new("KEY-1", 5);
	config.certcentral.rates[0] = (struct cfg_rate){ 90, 5 };
	config.certcentral.rates[1] = (struct cfg_rate){ 900, 180 };
	config.certcentral.n_rates = 2;
	fake_answer = answer;
	for (int i = 0; i < 300; i++)
		run_and_kill(i % 7 == 0 ? 2900 : 100 + 13 * i % 1100);
	assert_true(n_sent > 900);
	for (size_t i = 0; i < n_sent; i++) {
		assert_true(i < 90 || sent_ms[i] - sent_ms[i - 90] >= 5000);
		assert_true(i < 900 || sent_ms[i] - sent_ms[i - 900] >= 180000);
	}
	/* Not held back for longer than needed either: what is killed under way counts a start later. */
	n_sent = 0;
	fake_run(&loop, 180000);
	run_and_kill(6000);
	assert_true(n_sent > 90);
	secret_free(config.certcentral.api_key);
}

#define T(fn) cmocka_unit_test_setup(fn, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_killed),
		T(test_many_lives),
		T(test_more_under_way_than_places),
		T(test_other_boot),
		T(test_clock_jumps_within_a_boot),
		T(test_other_key),
		T(test_flipped_bits),
		T(test_garbage),
		T(test_no_file),
		T(test_windows_hold_over_restarts),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
