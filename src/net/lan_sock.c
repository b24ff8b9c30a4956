// SPDX-License-Identifier: MPL-2.0
#include "net/lan_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A group for local use (RFC 2365), and one of the link (RFC 4291). */
static const char group4[] = "239.255.100.99";
static const char group6[] = "ff02::6464:6370";

static int
set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

static int
new_socket(int family, int *fd)
{
	*fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

static int
give_up(int *fd)
{
	int rc = -errno;

	close(*fd);
	*fd = -1;
	return rc;
}

static socklen_t
length_of(const struct sockaddr *addr)
{
	return addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
	    : sizeof(struct sockaddr_in6);
}

int
lan_sock_receiver(int family, uint16_t port, int *fd)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };
	struct sockaddr *addr = family == AF_INET ? (struct sockaddr *)&in
	    : (struct sockaddr *)&in6;
	int rc = new_socket(family, fd);

	if (rc < 0)
		return rc;
	rc = set(*fd, SOL_SOCKET, SO_REUSEADDR, 1);
#ifndef __linux__
	/* Elsewhere this is what lets every process have every packet; on
	 * Linux it would share them out. */
	if (rc == 0)
		rc = set(*fd, SOL_SOCKET, SO_REUSEPORT, 1);
#endif
	if (rc == 0 && family == AF_INET)
		rc = set(*fd, IPPROTO_IP, IP_PKTINFO, 1);
	if (rc == 0 && family == AF_INET6
	    && (rc = set(*fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) == 0)
		rc = set(*fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
#ifdef IP_MULTICAST_ALL
	/* Only what this socket joined, not what others on the machine did. */
	if (rc == 0 && family == AF_INET)
		rc = set(*fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
#endif
	if (rc == 0)
		rc = bind(*fd, addr, length_of(addr));
	return rc < 0 ? give_up(fd) : 0;
}

int
lan_sock_join(int fd, const struct lan_if *i)
{
	struct ip_mreqn m4 = { .imr_ifindex = (int)i->index };
	struct ipv6_mreq m6 = { .ipv6mr_interface = i->index };
	int rc;

	if (i->addr.ss_family == AF_INET) {
		m4.imr_address = ((const struct sockaddr_in *)&i->addr)->sin_addr;
		inet_pton(AF_INET, group4, &m4.imr_multiaddr);
		rc = setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m4,
		    sizeof m4);
	} else {
		inet_pton(AF_INET6, group6, &m6.ipv6mr_multiaddr);
		rc = setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6,
		    sizeof m6);
	}
	/* Another address of the same interface was first. */
	return rc < 0 && errno != EADDRINUSE ? -errno : 0;
}

static int
set_sender4(int fd, const struct lan_if *i)
{
	struct ip_mreqn m = { .imr_ifindex = (int)i->index,
		.imr_address = ((const struct sockaddr_in *)&i->addr)->sin_addr };
	int rc = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof m);

	if (rc == 0)
		rc = set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
	if (rc == 0)
		rc = set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 1);
	if (rc == 0)
		rc = set(fd, IPPROTO_IP, IP_TTL, 1);
	if (rc == 0)
		rc = set(fd, SOL_SOCKET, SO_BROADCAST, 1);
	return rc;
}

static int
set_sender6(int fd, const struct lan_if *i)
{
	int rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);

	if (rc == 0)
		rc = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)i->index);
	if (rc == 0)
		rc = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 1);
	if (rc == 0)
		rc = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1);
	if (rc == 0)
		rc = set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 1);
	return rc;
}

int
lan_sock_sender(const struct lan_if *i, int *fd)
{
	const struct sockaddr *addr = (const struct sockaddr *)&i->addr;
	int rc = new_socket(addr->sa_family, fd);

	if (rc < 0)
		return rc;
	rc = addr->sa_family == AF_INET ? set_sender4(*fd, i)
	    : set_sender6(*fd, i);
	if (rc == 0)
		rc = bind(*fd, addr, length_of(addr));
	return rc < 0 ? give_up(fd) : 0;
}

int
lan_sock_send(int fd, const struct sockaddr *to, const uint8_t *bytes,
    size_t len)
{
	return sendto(fd, bytes, len, MSG_NOSIGNAL, to, length_of(to)) < 0
	    ? -errno : 0;
}

int
lan_sock_multicast(int fd, const struct lan_if *i, uint16_t port,
    const uint8_t *bytes, size_t len)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port), .sin6_scope_id = i->index };

	if (i->addr.ss_family == AF_INET) {
		inet_pton(AF_INET, group4, &in.sin_addr);
		return lan_sock_send(fd, (struct sockaddr *)&in, bytes, len);
	}
	inet_pton(AF_INET6, group6, &in6.sin6_addr);
	return lan_sock_send(fd, (struct sockaddr *)&in6, bytes, len);
}

int
lan_sock_broadcast(int fd, const struct lan_if *i, uint16_t port,
    const uint8_t *bytes, size_t len)
{
	struct sockaddr_in to = i->broadcast;

	if (to.sin_family != AF_INET)
		return -EADDRNOTAVAIL;
	to.sin_port = htons(port);
	return lan_sock_send(fd, (struct sockaddr *)&to, bytes, len);
}

static unsigned
index_of(struct msghdr *msg)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info4;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP
		    && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info4, CMSG_DATA(c), sizeof info4);
			return (unsigned)info4.ipi_ifindex;
		}
		if (c->cmsg_level == IPPROTO_IPV6
		    && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof info6);
			return info6.ipi6_ifindex;
		}
	}
	return 0;
}

ssize_t
lan_sock_receive(int fd, uint8_t *bytes, size_t max,
    struct sockaddr_storage *from, unsigned *index)
{
	union {
		struct cmsghdr header;
		char bytes[256];
	} control;
	struct iovec iov = { .iov_base = bytes, .iov_len = max };
	struct msghdr msg = { .msg_name = from, .msg_namelen = sizeof *from,
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof control };
	ssize_t n;

	memset(from, 0, sizeof *from);
	n = recvmsg(fd, &msg, 0);
	if (n < 0)
		return -errno;
	*index = index_of(&msg);
	return n;
}
