/* SPDX-License-Identifier: Apache-2.0 */
/* A small file of the state folder, mapped shared: what is stored there is in the page cache at once, so it survives the process
 * (kill -9 as well), at the price of a store and without a system call. Nothing is synced: after a power cut anything may be in it. */
#pragma once

#include "common/base.h"

#include <signal.h>

/* Maps len bytes of the file, which is made when it is not there and keeps what it holds. Best effort: NULL where that is not possible.
 * name must outlive it; one mapping of a name at a time, an earlier one of this process is let go. Loop thread only. */
void *mapped_open(int dir_fd, const char *name, size_t len);
/* NULL accepted. */
void mapped_close(void *at);

/* For a handler of SIGBUS: when the fault is in one of these files (it was cut off while mapped, or its disk failed), memory takes its
 * place, so that the instruction can be repeated: true. Safe in a signal handler. */
bool mapped_forgive(const siginfo_t *si);
