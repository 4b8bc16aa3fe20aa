/* SPDX-License-Identifier: Apache-2.0 */
/* The disk: real files, and a journal of what was not synced yet. The calls of the linked objects come here by the linker's --wrap.
 * Rules: the content of a file is on disk after fsync of the file; a name is after fsync of its folder; a rename
 * is one step. Until then each of it may be lost on its own. */
#pragma once

#include "common/base.h"
#include "tests/sim/life.h"

/* undo: an empty folder on the same file system. */
void disk_begin(const char *undo);
/* A place where a life can end. */
void disk_point(void);
/* The life ends at the n-th point from here. 0: not. */
void disk_arm(unsigned n, enum life_end how);
/* Power is cut: what was not synced is kept, lost or torn. No life may be on. */
void disk_power_cut(void);
/* Would name and content of this still be there after a power cut? Whatever leads to it is not looked at. */
bool disk_is_durable(const char *path);
/* Grows with every change of the disk. */
uint64_t disk_changes(void);
/* When an fsync of the state folder failed in this life; 0: none did. */
int64_t disk_sync_failed_ms(void);
void disk_life_begins(void);
void disk_close_all(void);
void disk_remove_tree(const char *path);
