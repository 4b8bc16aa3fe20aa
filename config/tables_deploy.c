/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the targets below `deploy`: the other half of tables.c. */
#include "config/raw.h"

static const struct opt_row rows_files_target[] = {
	{ .name = "owner",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_files_target, owner),
	  .check = value_account,
	  .doc = "account that owns the copies: a name or a number; else the one that writes them" },
	{ .name = "group",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_files_target, group),
	  .check = value_account,
	  .doc = "group of the copies and of the live key" },
	{ .name = "mode",
	  .type = OPT_CUSTOM,
	  .offset = offsetof(struct cfg_files_target, mode),
	  .read = read_mode,
	  .def = "0600",
	  .doc = "permissions of what holds the key, the live one too: 0400 to 0660 in octal; copies of "
		 "certificates can be "
		 "read by all" },
	{ .name = "bundle",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_files_target, paths[CFG_COPY_BUNDLE]),
	  .check = value_copy_path,
	  .doc = "copy of fullchain and key in one file, as HAProxy wants it; {name} stands for the domain's "
		 "name here and "
		 "in the next four" },
	{ .name = "cert",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_files_target, paths[CFG_COPY_CERT]),
	  .check = value_copy_path,
	  .doc = "copy of the certificate alone" },
	{ .name = "chain",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_files_target, paths[CFG_COPY_CHAIN]),
	  .check = value_copy_path,
	  .doc = "copy of the intermediates" },
	{ .name = "fullchain",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_files_target, paths[CFG_COPY_FULLCHAIN]),
	  .check = value_copy_path,
	  .doc = "copy of both" },
	{ .name = "key",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_files_target, paths[CFG_COPY_KEY]),
	  .check = value_copy_path,
	  .doc = "copy of the private key" },
};
const struct opt_table table_files_target = { rows_files_target, ARRAY_SIZE(rows_files_target), NULL };

static const struct opt_row rows_reload_target[] = {
	{ .name = "unit",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_reload_target, unit),
	  .check = value_unit,
	  .doc = "the service to reload, such as nginx.service; one that cannot reload is restarted, one "
		 "that does not run "
		 "is left alone" },
	{ .name = "test",
	  .type = OPT_CUSTOM,
	  .offset = offsetof(struct cfg_reload_target, test),
	  .read = read_command,
	  .doc = "a program that has to end with 0 before, such as [/usr/sbin/nginx, -t]; it runs with the "
		 "helper's rights" },
	{ .name = "timeout",
	  .type = OPT_DURATION,
	  .offset = offsetof(struct cfg_reload_target, timeout),
	  .min = 1,
	  .max = 3600,
	  .def = "90s",
	  .doc = "how long test and reload may take together" },
};
const struct opt_table table_reload_target = { rows_reload_target, ARRAY_SIZE(rows_reload_target), NULL };

static const struct opt_row rows_exec_target[] = {
	{ .name = "command",
	  .type = OPT_CUSTOM,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_exec_target, command),
	  .read = read_command,
	  .doc = "the program, an absolute path, and its arguments; 1 to 32 words, no shell" },
	{ .name = "timeout",
	  .type = OPT_DURATION,
	  .offset = offsetof(struct cfg_exec_target, timeout),
	  .min = 1,
	  .max = 3600,
	  .def = "60s",
	  .doc = "how long it may take" },
};
const struct opt_table table_exec_target = { rows_exec_target, ARRAY_SIZE(rows_exec_target), NULL };

static const struct opt_row rows_verify_target[] = {
	{ .name = "connect",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_verify_target, connect),
	  .check = value_connect,
	  .doc = "where the server is: ADDR:PORT or HOST:PORT, every address of it; else server_name, port "
		 "443" },
	{ .name = "server_name",
	  .type = OPT_TEXT,
	  .offset = offsetof(struct cfg_verify_target, server_name),
	  .check = value_host,
	  .doc = "the name to ask for (SNI); else the first name of the certificate that is no wildcard" },
	{ .name = "settle",
	  .type = OPT_DURATION,
	  .offset = offsetof(struct cfg_verify_target, settle),
	  .min = 0,
	  .max = 3600,
	  .def = "10s",
	  .doc = "how long a server may still show the old certificate before that is an error; a WAF may "
		 "need minutes" },
};
const struct opt_table table_verify_target = { rows_verify_target, ARRAY_SIZE(rows_verify_target), NULL };

static const struct opt_row rows_scutum_target[] = {
	{ .name = "host",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_scutum_target, host),
	  .check = value_host,
	  .doc = "the FQDN as Scutum knows it" },
	{ .name = "id",
	  .type = OPT_TEXT,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_scutum_target, id),
	  .check = value_word,
	  .doc = "the management panel's id of that FQDN" },
	{ .name = "api_key_file",
	  .type = OPT_API_KEY,
	  .flags = OPT_REQUIRED,
	  .offset = offsetof(struct cfg_scutum_target, api_key),
	  .doc = "the file that holds the Scutum API key of that FQDN" },
	{ .name = "key_passphrase_file",
	  .type = OPT_PASSPHRASE,
	  .offset = offsetof(struct cfg_scutum_target, key_passphrase),
	  .doc = "the file that holds a passphrase to encrypt the private key with on its way" },
};
const struct opt_table table_scutum_target = { rows_scutum_target, ARRAY_SIZE(rows_scutum_target), NULL };

static const struct opt_row rows_target[] = {
	{ .name = "files",
	  .type = OPT_MAP,
	  .offset = offsetof(struct raw_target, files),
	  .sub = &table_files_target,
	  .doc = "owner, group and mode of the key, and copies elsewhere" },
	{ .name = "reload",
	  .type = OPT_MAP,
	  .offset = offsetof(struct raw_target, reload),
	  .sub = &table_reload_target,
	  .doc = "test a configuration and reload a unit, by dvcertd-helper" },
	{ .name = "exec",
	  .type = OPT_MAP,
	  .offset = offsetof(struct raw_target, exec),
	  .sub = &table_exec_target,
	  .doc = "run a program" },
	{ .name = "verify",
	  .type = OPT_MAP,
	  .offset = offsetof(struct raw_target, verify),
	  .sub = &table_verify_target,
	  .doc = "look whether it is served" },
	{ .name = "scutum",
	  .type = OPT_MAP,
	  .offset = offsetof(struct raw_target, scutum),
	  .sub = &table_scutum_target,
	  .doc = "push to the Scutum cloud WAF" },
};
const struct opt_table table_target = { rows_target, ARRAY_SIZE(rows_target), NULL };
