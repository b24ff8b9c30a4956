// SPDX-License-Identifier: MPL-2.0
#include "fault_count.h"

static enum fault_kind failing;         /* 0: nothing is counted */
static long left, count;
static bool for_good, failed;

void
fault_arm(enum fault_kind kind, long at, bool all)
{
	failing = kind;
	left = at;
	for_good = all;
	failed = false;
	count = 0;
}

bool
fault_disarm(void)
{
	failing = 0;
	return failed;
}

long
fault_count(void)
{
	return count;
}

enum fault_kind
fault_armed(void)
{
	return failing;
}

bool
fault_is_due(unsigned kinds)
{
	if ((kinds & failing) == 0)
		return false;
	count++;
	if (left < 0 || left-- > 0)
		return false;
	failed = true;
	if (for_good)
		left = 0;
	return true;
}
