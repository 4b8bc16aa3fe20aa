/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/home.h"

#include "common/fs.h"
#include "common/mem.h"

#include <errno.h>
#include <sys/vfs.h>

#define MACHINE_FILE "machine"
#define MACHINE_LEN  32

/* linux/magic.h knows half of them only. */
const char *home_file_system(uint64_t magic)
{
	static const struct {
		uint64_t magic;
		const char *text;
	} ROWS[] = {
		{ 0x6969,
		  "NFS: locks and fsync are as good as its server, and a second machine can mount it" },
		{ 0xff534d42, "CIFS: locks and fsync are as good as its server" },
		{ 0xfe534d42, "SMB: locks and fsync are as good as its server" },
		{ 0x01021997, "9p: locks and fsync are as good as its server" },
		{ 0x00c36400, "CephFS: a second machine can mount it" },
		{ 0x65735546, "FUSE: fsync and rename are as good as the program behind it" },
		{ 0x794c7630, "an overlay: it is gone with its container" },
		{ 0x01021994, "tmpfs: it is gone after the next boot, with all orders and keys" },
		{ 0x858458f6, "ramfs: it is gone after the next boot, with all orders and keys" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
		if (ROWS[i].magic == magic)
			return ROWS[i].text;
	}
	return NULL;
}

static void look_at_disk(const struct store *s, struct words *ret)
{
	_cleanup_free_ char *text = NULL;
	struct statfs st;
	const char *what;

	if (fstatfs(store_state_fd(s), &st) < 0)
		return;
	what = home_file_system((uint32_t)st.f_type);
	if (!what)
		return;
	text = xasprintf("state_dir is on %s; use a local disk", what);
	words_add(ret, text);
}

static int look_at_machine(const struct store *s, const char *machine, struct words *ret)
{
	_cleanup_free_ char *was = NULL, *line = xasprintf("%s\n", machine);
	size_t len = 0;
	int r = fs_read_at(store_state_fd(s), MACHINE_FILE, 256, &was, &len, NULL);

	if (r == 0 && len == MACHINE_LEN + 1 && strspn(was, "0123456789abcdef") == MACHINE_LEN) {
		if (strcmp(was, line) != 0)
			words_add(
				ret,
				"state_dir was written on another machine (a copy, a restored backup or a "
				"new host): if the other one still runs dvcertd, stop one of them, because "
				"both renew the same certificates, and may pay twice; if this one has taken "
				"over, remove state/" MACHINE_FILE " and restart");
		return 0;
	}
	/* Not there, or it says nothing: from now on it does; where it cannot be written, the next start will. */
	r = fs_replace(store_state_fd(s), MACHINE_FILE, line, strlen(line), 0600, NULL);
	return r == FS_ESYNC ? r : 0;
}

int home_look(const struct store *s, const char *machine, struct words *ret)
{
	look_at_disk(s, ret);
	return machine ? look_at_machine(s, machine, ret) : 0;
}
