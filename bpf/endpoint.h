/* SPDX-License-Identifier: GPL-2.0 */
/* Addresses with ports. IPv4 is v4-mapped IPv6; all is in network byte order. */
#pragma once

#define MAPPED bpf_htonl(0xffff)
#define LOOPBACK4 bpf_htonl(0x7f000001)
#define LOOPBACK6 bpf_htonl(1) /* last word of ::1 */

struct endpoint {
	__be32 ip[4];
	__be16 port;
	__u16 pad;
};

static __always_inline int is_mapped(const struct endpoint *e)
{
	return e->ip[0] == 0 && e->ip[1] == 0 && e->ip[2] == MAPPED;
}

static __always_inline int is_loopback4(__be32 ip)
{
	return (ip & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

static __always_inline int is_loopback(const struct endpoint *e)
{
	if (is_mapped(e))
		return is_loopback4(e->ip[3]);
	return e->ip[0] == 0 && e->ip[1] == 0 && e->ip[2] == 0 && e->ip[3] == LOOPBACK6;
}

/* To connect to the unspecified address is to connect to loopback. */
static __always_inline void normalise(struct endpoint *e)
{
	if (is_mapped(e) && e->ip[3] == 0)
		e->ip[3] = LOOPBACK4;
	else if (!(e->ip[0] | e->ip[1] | e->ip[2] | e->ip[3]))
		e->ip[3] = LOOPBACK6;
}

/* A link-local address means nothing without its interface. */
static __always_inline int is_link_local(const struct endpoint *e)
{
	return (e->ip[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}
