// SPDX-License-Identifier: MPL-2.0
/*
 * memory_conn.c - streams between two endpoints of the network "memory".
 *
 * What one end sends waits at the other as segments with a time of arrival,
 * in a queue, so that a late one holds up all that follow it.  One delivery
 * at a time is scheduled for an end; each event holds its link, which is freed
 * when the last event and both owners are gone.
 */
#include "net/memory_world.h"

#include <stdlib.h>
#include <string.h>

enum { RETRANSMIT_MS = 200 };

static struct mem_end *
of_conn(const struct net_conn *conn)
{
	return (struct mem_end *)(uintptr_t)conn;
}

static struct mem_end *
other(const struct mem_end *end)
{
	return &end->link->ends[end == &end->link->ends[0]];
}

static void
drop_segments(struct mem_end *end)
{
	struct mem_seg *s;

	while ((s = end->first) != NULL) {
		end->first = s->next;
		free(s);
	}
	end->last = NULL;
	end->incoming = 0;
}

void
mem_link_free(struct mem_link *link)
{
	drop_segments(&link->ends[0]);
	drop_segments(&link->ends[1]);
	if (link->prev != NULL)
		link->prev->next = link->next;
	else
		link->world->links = link->next;
	if (link->next != NULL)
		link->next->prev = link->prev;
	free(link);
}

void
mem_link_settle(struct mem_link *link)
{
	if (link->events == 0 && !link->ends[0].owned && !link->ends[1].owned)
		mem_link_free(link);
}

/* Schedules f for end, which holds its link. */
static void
schedule(struct mem_end *end, uint64_t ms, void (*f)(void *owner))
{
	if (memnet_after(end->link->world, ms, f, end) == 0)
		end->link->events++;
}

static void
released(struct mem_link *link)
{
	link->events--;
	mem_link_settle(link);
}

static void
tell_over(struct mem_end *end, const char *sentence)
{
	struct err why = { .code = 0 };

	if (!end->owned || end->over)
		return;
	end->over = true;
	drop_segments(end);
	if (sentence != NULL)
		err_set(&why, E_UNREACHABLE, NULL, "%s", sentence);
	if (end->conn.events != NULL)
		end->conn.events->on_close(&end->conn, &why);
}

static void
hear_of_cut(void *owner)
{
	struct mem_end *end = owner;
	struct mem_link *link = end->link;

	tell_over(end, "the connection was cut");
	released(link);
}

void
mem_link_cut(struct mem_link *link)
{
	struct memnet *m = link->world;
	struct mem_end *end;
	int i;

	if (link->cut)
		return;
	link->cut = true;
	m->counts.cuts++;
	for (i = 0; i < 2; i++) {
		end = &link->ends[i];
		drop_segments(end);
		if (end->owned && !end->over)
			schedule(end, mem_latency(m) + memnet_below(m, 1
			    + 4 * (uint64_t)m->faults.latency_max_ms),
			    hear_of_cut);
	}
}

static size_t
mem_queued(const struct net_conn *conn)
{
	const struct mem_end *end = of_conn(conn);
	size_t n = other(end)->incoming;

	return end->over || n <= MEM_WINDOW ? 0 : n - MEM_WINDOW;
}

static void deliver(void *owner);

/* Sees to it that the first segment for end is delivered in its time. */
static void
schedule_delivery(struct mem_end *end)
{
	uint64_t now = end->link->world->now;

	if (end->scheduled || !end->reading || end->first == NULL)
		return;
	end->scheduled = true;
	schedule(end, end->first->at > now ? end->first->at - now : 0,
	    deliver);
}

/* Takes the bytes to be delivered now off the first segment. */
static struct mem_seg *
take(struct mem_end *end, size_t *off, size_t *len)
{
	struct memnet *m = end->link->world;
	struct mem_seg *s = end->first;

	*off = s->off;
	*len = s->len - s->off;
	if (*len > 1 && mem_chance(m, m->faults.split)) {
		m->counts.split++;
		*len = 1 + memnet_below(m, *len - 1);
		s->off += *len;
		s->at = m->now + mem_latency(m);
	} else {
		end->first = s->next;
		if (end->first == NULL)
			end->last = NULL;
	}
	end->incoming -= *len;
	if (s->sent < m->newest)
		m->counts.reordered++;
	else
		m->newest = s->sent;
	return s;
}

static void
deliver_bytes(struct mem_end *end)
{
	struct memnet *m = end->link->world;
	struct mem_end *from = other(end);
	uint8_t *bytes;
	size_t off, len;
	struct mem_seg *s = take(end, &off, &len);
	bool all = end->first != s;

	/* The callback may end the connection, and the segment with it. */
	bytes = all ? s->bytes + off : malloc(len);
	if (bytes == NULL) {
		mem_link_cut(end->link);
		return;
	}
	if (!all)
		memcpy(bytes, s->bytes + off, len);
	m->counts.deliveries++;
	m->counts.bytes += len;
	schedule_delivery(end);
	end->conn.events->on_data(&end->conn, bytes, len);
	if (all)
		free(s);
	else
		free(bytes);
	if (from->above && from->owned && !from->over
	    && mem_queued(&from->conn) <= NET_LOW_WATER) {
		from->above = false;
		from->conn.events->on_drain(&from->conn);
	}
}

static void
deliver(void *owner)
{
	struct mem_end *end = owner;
	struct mem_link *link = end->link;
	struct memnet *m = link->world;

	end->scheduled = false;
	if (!end->owned || end->over || end->first == NULL || !end->reading)
		goto out;
	if (end->first->at > m->now) {
		schedule_delivery(end);
		goto out;
	}
	if (mem_chance(m, m->faults.cut))
		mem_link_cut(link);
	else if (end->first->fin)
		tell_over(end, NULL);
	else
		deliver_bytes(end);
out:
	released(link);
}

/* Sends one segment from end on its way; bytes may be NULL for the end of the
 * stream. */
static int
send_segment(struct mem_end *end, const uint8_t *bytes, size_t len)
{
	struct mem_end *to = other(end);
	struct memnet *m = end->link->world;
	struct mem_seg *s = malloc(sizeof *s + len);

	if (s == NULL)
		return E_FATAL;
	*s = (struct mem_seg){ .at = m->now + mem_latency(m),
		.sent = m->sent++, .len = len, .fin = bytes == NULL };
	if (len > 0)
		memcpy(s->bytes, bytes, len);
	if (mem_chance(m, m->faults.loss)) {
		m->counts.lost++;
		s->at += (uint64_t)RETRANSMIT_MS << memnet_below(m, 3);
	}
	if (to->last != NULL)
		to->last->next = s;
	else
		to->first = s;
	to->last = s;
	to->incoming += len;
	schedule_delivery(to);
	return 0;
}

static int
mem_send(struct net_conn *conn, const void *bytes, size_t len,
    struct err *err)
{
	struct mem_end *end = of_conn(conn);
	size_t max = end->marked ? NET_SEND_MAX : NET_SEND_MAX_UNKNOWN;
	const uint8_t *from = bytes;
	size_t n;

	if (end->over)
		return err_set(err, E_UNREACHABLE, NULL,
		    "the connection is over");
	if (len > max || mem_queued(conn) > max - len)
		return err_set(err, E_HELD, NULL,
		    "the other end does not read fast enough");
	/* To one who is gone, or across a cut: lost, as the sender will hear. */
	if (end->link->cut || !other(end)->owned || other(end)->over)
		return 0;
	for (; len > 0; from += n, len -= n) {
		n = len < NET_READ_MAX ? len : NET_READ_MAX;
		if (send_segment(end, from, n) < 0)
			return err_nomem(err);
	}
	end->above |= mem_queued(conn) > NET_LOW_WATER;
	return 0;
}

static void
mem_read(struct net_conn *conn, bool on)
{
	struct mem_end *end = of_conn(conn);

	end->reading = on;
	if (!end->over)
		schedule_delivery(end);
}

static void
mem_mark(struct net_conn *conn)
{
	of_conn(conn)->marked = true;
}

static void
mem_place(const struct net_conn *conn, char out[static PLACE_MAX])
{
	const struct mem_end *end = of_conn(conn);

	addr_format(end->link->keys[end == &end->link->ends[0]], out);
}

static void
hear_of_reset(void *owner)
{
	struct mem_end *end = owner;
	struct mem_link *link = end->link;

	tell_over(end, "the other end broke the connection");
	released(link);
}

void
mem_end_abandon(struct mem_end *end)
{
	struct mem_end *peer = other(end);

	if (!end->owned)
		return;
	end->owned = false;
	end->at = NULL;
	drop_segments(end);
	if (!end->link->cut && peer->owned && !peer->over) {
		drop_segments(peer);
		schedule(peer, mem_latency(end->link->world), hear_of_reset);
	}
	mem_link_settle(end->link);
}

static void
mem_close(struct net_conn *conn, bool flush)
{
	struct mem_end *end = of_conn(conn), *peer = other(end);
	struct mem_link *link = end->link;

	if (!flush || end->over || link->cut || !peer->owned || peer->over) {
		mem_end_abandon(end);
		return;
	}
	send_segment(end, NULL, 0);
	end->owned = false;
	end->at = NULL;
	drop_segments(end);
	mem_link_settle(link);
}

static const struct net_conn_ops mem_ops = {
	.send = mem_send,
	.queued = mem_queued,
	.read = mem_read,
	.mark = mem_mark,
	.place = mem_place,
	.close = mem_close,
};

struct mem_link *
mem_link_new(struct mem_endpoint *from, struct mem_endpoint *to)
{
	struct memnet *m = from->world;
	struct mem_link *link = calloc(1, sizeof *link);
	int i;

	if (link == NULL)
		return NULL;
	link->world = m;
	memcpy(link->keys[0], from->key, KEY_LEN);
	memcpy(link->keys[1], to->key, KEY_LEN);
	for (i = 0; i < 2; i++) {
		link->ends[i].conn.ops = &mem_ops;
		link->ends[i].link = link;
		link->ends[i].at = i == 0 ? from : to;
	}
	link->ends[0].marked = true;
	link->next = m->links;
	if (link->next != NULL)
		link->next->prev = link;
	m->links = link;
	return link;
}
