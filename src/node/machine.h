// SPDX-License-Identifier: MPL-2.0
/*
 * machine.h - notices that the machine was asleep, that its clock was set, or
 * that it has other addresses: what connections do not survive.  No polling;
 * where the system can't tell, nothing is noticed, and keep-alives find out.
 */
#ifndef NODE_MACHINE_H
#define NODE_MACHINE_H

struct uv_loop_s;
struct machine;

/* NULL without memory; changed is called from the loop. */
struct machine *machine_open(struct uv_loop_s *loop,
    void (*changed)(void *owner), void *owner);

/* m may be NULL. */
void machine_close(struct machine *m);

#endif
