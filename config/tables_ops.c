/* SPDX-License-Identifier: Apache-2.0 */
/* The options for those who watch the daemon: metrics and notices. A part of tables.c. */
#include "config/raw.h"

#include "common/mem.h"
#include "common/str.h"

#include <errno.h>
#include <string.h>

static const struct opt_row rows_metrics[] = {
	{ .name = "listen",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_metrics, listen),
	  .check = value_local_listen,
	  .doc = "where /metrics is served: a loopback address such as 127.0.0.1:9402, or unix:PATH" },
	{ .name = "textfile",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_metrics, textfile),
	  .check = value_textfile,
	  .doc = "file ending in .prom that is kept up to date for the textfile collector of node_exporter" },
};
const struct opt_table table_metrics = { rows_metrics, ARRAY_SIZE(rows_metrics), check_metrics };

static const struct opt_row rows_notify[] = {
	{ .name = "command",
	  .type = OPT_CUSTOM,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_notify, command),
	  .read = read_command,
	  .doc = "the program that is told, an absolute path, and its arguments; 1 to 32 words" },
	{ .name = "timeout",
	  .type = OPT_DURATION,
	  .offset = offsetof(struct cfg_notify, timeout),
	  .min = 1,
	  .max = 3600,
	  .def = "60s",
	  .doc = "how long one call may take" },
};
const struct opt_table table_notify = { rows_notify, ARRAY_SIZE(rows_notify), NULL };

void check_metrics(struct reader *r, const struct yaml_item *map, const struct opt_path *path,
		   const void *target)
{
	const struct cfg_metrics *m = target;

	if (!m->listen && !m->textfile)
		reader_problem(r, map, path, "needs listen, textfile or both");
}

static bool is_loopback(const char *addr_port)
{
	return str_has_prefix(addr_port, "127.") || str_has_prefix(addr_port, "[::1]:");
}

int value_local_listen(const char *in, char **ret, struct err *reterr)
{
	_cleanup_free_ char *path = NULL;
	int r = 0;

	if (str_has_prefix(in, "unix:")) {
		r = value_socket_path(in + strlen("unix:"), &path, reterr);
		if (r == 0 && path)
			*ret = xasprintf("unix:%s", path);
		return r;
	}
	r = value_addr_port(in, ret, reterr);
	if (r < 0)
		return r;
	if (!is_loopback(in))
		return err_set(
			reterr, -EINVAL,
			"\"%s\" can be reached from elsewhere, and there is no password: use 127.0.0.1:9402, "
			"[::1]:9402 or unix:PATH, with a web server in front for others",
			in);
	return 0;
}

int value_textfile(const char *in, char **ret, struct err *reterr)
{
	int r = value_path(in, ret, reterr);

	if (r < 0)
		return r;
	if (!str_has_suffix(in, ".prom"))
		return err_set(reterr, -EINVAL,
			       "\"%s\" must end in .prom: node_exporter reads no other files", in);
	return 0;
}
