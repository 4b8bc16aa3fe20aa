/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to systemd, read from a socket that plays its part. */
#include "daemon/ops/notify.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static char dir[64];
static char path[96];
static int sock = -1;

static int setup(_unused_ void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	(void)snprintf(dir, sizeof dir, "/tmp/test_notify.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/notify", dir);
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(sock, (const struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	return 0;
}

static int teardown(_unused_ void **state)
{
	assert_int_equal(close(sock), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* "" when nothing came: sending is synchronous. */
static const char *received(void)
{
	static char buf[2000];
	ssize_t n = recv(sock, buf, sizeof buf - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void test_messages(_unused_ void **state)
{
	const char *text = NULL;
	long long usec = 0;
	int64_t before = clock_mono_ms();

	notify_ready("3 valid");
	assert_string_equal(received(), "READY=1\nSTATUS=3 valid");
	notify_watchdog();
	assert_string_equal(received(), "WATCHDOG=1");
	notify_reloading();
	text = received();
	assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%lld", &usec), 1);
	assert_in_range(usec, before * 1000, (clock_mono_ms() + 2) * 1000);
	notify_stopping("bye");
	assert_string_equal(received(), "STOPPING=1\nSTATUS=bye");
}

static void test_status_only_when_it_changes(_unused_ void **state)
{
	notify_ready("a");
	assert_string_equal(received(), "READY=1\nSTATUS=a");
	notify_status("a");
	assert_string_equal(received(), "");
	notify_status("b");
	assert_string_equal(received(), "STATUS=b");
	notify_status("b");
	assert_string_equal(received(), "");
}

static void test_status_is_one_line(_unused_ void **state)
{
	char longer[2000];

	notify_status("x\nSTOPPING=1");
	assert_null(strchr(received() + 7, '\n'));
	memset(longer, 'y', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	notify_status(longer);
	assert_in_range(strlen(received()), 300, 420);
	notify_status(longer);
	assert_string_equal(received(), "");
}

static void test_without_systemd(_unused_ void **state)
{
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	notify_ready("x");
	notify_reloading();
	notify_status("y");
	notify_watchdog();
	notify_stopping("z");
	assert_string_equal(received(), "");
}

static void test_watchdog_interval(_unused_ void **state)
{
	char pid[32];

	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 15000);
	(void)snprintf(pid, sizeof pid, "%d", (int)getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(notify_watchdog_ms(), 15000);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0); /* for another process */
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "100", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 1);
	assert_int_equal(setenv("WATCHDOG_USEC", "often", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_messages),	 T(test_status_only_when_it_changes), T(test_status_is_one_line),
		T(test_without_systemd), T(test_watchdog_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
