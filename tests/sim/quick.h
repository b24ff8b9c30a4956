// SPDX-License-Identifier: MPL-2.0
/*
 * quick.h - keeps SQLite's prepared statements for the next who asks for the
 * same text: half of a simulation's time is the parsing of SQL.  It takes the
 * place of sqlite3_prepare_v2() and others for the whole process, SQLite
 * itself included, and changes nothing until it is turned on.
 */
#ifndef SIM_QUICK_H
#define SIM_QUICK_H

#include <stdbool.h>

/* Before the first database is opened. */
void quick_on(bool on);

#endif
