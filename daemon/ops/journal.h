/* SPDX-License-Identifier: Apache-2.0 */
/* Log sink for the systemd journal: MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER and the context chain as fields. */
#pragma once

#include "common/log.h"

/* True when stderr is connected to the journal ($JOURNAL_STREAM names its device and inode). */
bool journal_is_stderr(void);
/* arg: the identifier (a string that stays); NULL: "dvcertd". */
void journal_sink(const struct log_record *rec, void *arg);
