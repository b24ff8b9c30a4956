// SPDX-License-Identifier: MPL-2.0
/*
 * test_store_nomem.c - each allocation that the store, the engine and SQLite make
 * fails in turn, alone and with all that follow; see store_faults.h.
 */
#include "fault_calls.h"
#include "store_faults.h"

int
main(void)
{
	fault_calls_sqlite();
	return store_faults_run("store nomem", FAULT_MEMORY, false);
}
