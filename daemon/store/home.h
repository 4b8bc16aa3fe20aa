/* SPDX-License-Identifier: Apache-2.0 */
/* Is the state folder where it should be: on a disk of this machine, and on the machine that wrote it? Only looked at, never refused:
 * a daemon that does not start takes sites down for certain. */
#pragma once

#include "common/words.h"
#include "daemon/store/store.h"

/* Adds a sentence for each thing that is doubtful. machine: of this one (NULL: not known); it is written to state/machine when that is
 * not there. FS_ESYNC: stop the process; else 0. */
int home_look(const struct store *s, const char *machine, struct words *ret);

/* What is doubtful about a file system, by the magic number of statfs(2); NULL: nothing. For tests. */
const char *home_file_system(uint64_t magic);
