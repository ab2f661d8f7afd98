//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/*
 * Drops packets between the services of a world: all, a share, or what exceeds
 * a rate. Connections that exist already are hit like new ones.
 *
 *   leave (cgroup_skb/egress)   packets that a service sends
 *   arrive (cgroup_skb/ingress) packets that a service gets
 *
 * A local service is a cgroup, a container its addresses. Local services share
 * their addresses: whom a packet goes to is told by the socket that it will reach.
 * One of a redirected connection will reach the proxy: whom it is meant for, or
 * comes from, is told by the port at the far end, on an address of this host.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define DOOMED 0x66624c6f /* mark of a packet that is to vanish on arrival */
#define NS_PER_S 1000000000ULL

enum { BPF_MAP_TYPE_ARRAY = 2 };

struct bpf_spin_lock {
	__u32 val;
};

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
	__u32 napi_id;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 data_meta;
	__u64 flow_keys;
	__u64 tstamp;
	__u32 wire_len;
	__u32 gso_segs;
	union {
		struct bpf_sock *sk;
		__u64 : 64;
	} __attribute__((aligned(8)));
};

/* Packets that leave (side 0) or arrive (side 1). */
struct flow {
	__u64 cgroup; /* of the near end; 0: any */
	__u64 other;  /* cgroup of the far end; 0: any */
	__be32 near;  /* address, IPv6 folded; 0: any */
	__be32 far;   /* 0: any of this host */
	__be16 port;  /* at the far end; 0: any */
	__u8 side;
	__u8 pad[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow);
	__type(value, __u64); /* the impairments that act on them, a bit each */
} flows SEC(".maps");

#define IMPAIRMENTS 64

struct impairment {
	struct bpf_spin_lock lock; /* of tokens and last */
	__u32 pad;
	__u64 share;  /* of packets that vanish, of 1 << 32 */
	__u64 rate;   /* bytes a second that pass; 0: any */
	__u64 burst;  /* bytes that may pass at once after a silence */
	__s64 tokens; /* bytes that may pass now */
	__u64 last;   /* when tokens were counted, ns */
	__u64 seed;
	__u64 seen;
	__u64 struck; /* packets that vanished */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IMPAIRMENTS);
	__type(key, __u32);
	__type(value, struct impairment);
} impairments SEC(".maps");

/* Where redirected sockets meant to go: the map of that name in redirect.c. */
struct meant {
	__be32 ip[4];
	__be16 port;
	__u16 pad;
	__be16 listener;
	__u8 own; /* faultbox's own connection: never redirected, never impaired */
	__u8 bound;
	__be32 source[4]; /* that it would have had; 0: not known */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32);
	__type(value, struct meant);
} sockets SEC(".maps");

/* splitmix64's finaliser: the n-th number of a stream. */
static __always_inline __u64 mix(__u64 seed, __u64 n)
{
	__u64 z = seed + n * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Whether a packet exceeds the rate. A long one may run into debt. */
static __always_inline int exceeds(struct impairment *i, __u32 len)
{
	__u64 now = bpf_ktime_get_ns(), gone, gain;
	int over = 0;

	bpf_spin_lock(&i->lock);
	gone = now - i->last;
	if (gone > NS_PER_S)
		gone = NS_PER_S;
	gain = gone * i->rate / NS_PER_S;
	if (gain) {
		i->last = now;
		i->tokens += gain;
		if (i->tokens > (__s64)i->burst)
			i->tokens = i->burst;
	}
	if (i->tokens > 0)
		i->tokens -= len;
	else
		over = 1;
	bpf_spin_unlock(&i->lock);
	return over;
}

/* Whether a packet vanishes by one of the impairments in mask. */
static __always_inline int vanishes(__u64 mask, __u32 len)
{
	for (__u32 n = 0; n < IMPAIRMENTS; n++) {
		__u32 key = n;
		struct impairment *i;
		__u64 seen;

		if (!(mask >> n & 1))
			continue;
		i = bpf_map_lookup_elem(&impairments, &key);
		if (!i)
			return 0;
		seen = __sync_fetch_and_add(&i->seen, 1);
		if ((mix(i->seed, seen) >> 32) < i->share || (i->rate && exceeds(i, len))) {
			__sync_fetch_and_add(&i->struck, 1);
			return 1;
		}
	}
	return 0;
}

struct ends {
	struct bpf_sock_tuple tuple; /* as whoever the packet reaches sees it */
	__be32 near, far;            /* addresses, IPv6 folded */
	__be16 port;                 /* at the far end */
	__u8 proto;                  /* above IP; 0: none of ours */
	__u8 local;                  /* the far end is on an address of this host */
	__u8 wide;                   /* IPv6 */
};

/* An IPv6 address in the room of an IPv4 one: a world has few of both. */
static __always_inline __be32 fold(const __be32 *ip)
{
	return ip[0] ^ ip[1] ^ ip[2] ^ ip[3];
}

static __always_inline void look(struct __sk_buff *skb, int side, struct ends *e)
{
	__u8 head[40] __attribute__((aligned(8)));
	__be16 ports[2];
	__u8 first;
	__u32 at;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return;
	if (first >> 4 == 4) {
		if (bpf_skb_load_bytes(skb, 0, head, 20))
			return;
		e->proto = head[9];
		e->near = *(__be32 *)(head + (side ? 16 : 12));
		e->far = *(__be32 *)(head + (side ? 12 : 16));
		e->local = e->far == e->near || (e->far & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
		e->tuple.ipv4.saddr = *(__be32 *)(head + 12);
		e->tuple.ipv4.daddr = *(__be32 *)(head + 16);
		at = (first & 15) * 4;
	} else {
		__u64 *src = (__u64 *)(head + 8), *dst = (__u64 *)(head + 24);

		if (bpf_skb_load_bytes(skb, 0, head, 40))
			return;
		e->proto = head[6];
		e->near = fold((__be32 *)(head + (side ? 24 : 8)));
		e->far = fold((__be32 *)(head + (side ? 8 : 24)));
		e->local = src[0] == dst[0] && src[1] == dst[1];
		e->wide = 1;
		__builtin_memcpy(e->tuple.ipv6.saddr, src, 16);
		__builtin_memcpy(e->tuple.ipv6.daddr, dst, 16);
		at = 40;
	}
	if ((e->proto != IPPROTO_TCP && e->proto != IPPROTO_UDP) || bpf_skb_load_bytes(skb, at, ports, sizeof(ports))) {
		e->proto = 0;
		return;
	}
	e->port = ports[!side];
	if (e->wide) {
		e->tuple.ipv6.sport = ports[0];
		e->tuple.ipv6.dport = ports[1];
	} else {
		e->tuple.ipv4.sport = ports[0];
		e->tuple.ipv4.dport = ports[1];
	}
}

/* The cgroup of the socket that a packet to this host will reach; 0: none. */
static __always_inline __u64 receiver(struct __sk_buff *skb, struct ends *e)
{
	__u32 size = e->wide ? sizeof(e->tuple.ipv6) : sizeof(e->tuple.ipv4);
	struct bpf_sock *sk;
	__u64 cgroup;

	if (e->proto == IPPROTO_TCP)
		sk = bpf_sk_lookup_tcp(skb, &e->tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(skb, &e->tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	cgroup = bpf_sk_cgroup_id(sk);
	bpf_sk_release(sk);
	return cgroup;
}

/* A redirected connection is one to where it meant to go. */
static __always_inline void look_behind(const struct meant *meant, struct ends *e)
{
	__be32 source = fold(meant->source), to = fold(meant->ip);

	e->port = meant->port;
	if (meant->ip[0] || meant->ip[1] || meant->ip[2] != bpf_htonl(0xffff)) {
		if (source)
			e->near = source;
		if (to != bpf_htonl(1) && to != e->near) { /* ::1 */
			e->far = to;
			e->local = 0;
		}
		return;
	}
	if (meant->source[3])
		e->near = meant->source[3];
	if ((meant->ip[3] & bpf_htonl(0xff000000)) != bpf_htonl(0x7f000000) && meant->ip[3] != e->near) {
		e->far = meant->ip[3];
		e->local = 0;
	}
}

static __always_inline __u64 lookup(const struct flow *flow)
{
	__u64 *mask = bpf_map_lookup_elem(&flows, flow);

	return mask ? *mask : 0;
}

static __always_inline __u64 impaired(__u64 cgroup, __be32 near, __be32 far, __be16 port, int side)
{
	struct flow flow = { .cgroup = cgroup, .near = near, .far = far, .port = port, .side = side };

	return lookup(&flow);
}

/* The impairments of packets from one cgroup to another. */
static __always_inline __u64 between(__u64 cgroup, __u64 other)
{
	struct flow flow = { .cgroup = cgroup, .other = other };

	return other ? lookup(&flow) : 0;
}

/* What becomes of a packet: see bpf_prog_run_array_cg in the kernel. */
enum { VANISH, PASS, CONGESTED };

static __always_inline int judge(struct __sk_buff *skb, int side)
{
	__u64 cgroup = bpf_skb_cgroup_id(skb), mask;
	struct bpf_sock *sk = skb->sk;
	struct meant *meant = 0;
	struct ends e = {};

	look(skb, side, &e);
	if (!e.proto)
		return PASS;
	if (sk && (sk = bpf_sk_fullsock(sk)))
		meant = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (meant && meant->own)
		return PASS;
	if (meant && meant->port)
		look_behind(meant, &e);
	if (e.local) {
		mask = impaired(cgroup, 0, 0, e.port, side);
		if (!side)
			mask |= between(cgroup, receiver(skb, &e));
	} else {
		mask = impaired(cgroup, 0, e.far, 0, side);
		/* Between containers UDP is taken on arrival, so that sendto(2) does not fail. */
		if ((e.proto == IPPROTO_UDP) == side)
			mask |= impaired(0, e.near, e.far, 0, side);
	}
	if (!mask || !vanishes(mask, skb->len))
		return PASS;
	if (side || e.proto == IPPROTO_TCP)
		return VANISH;
	if (!e.local || meant)
		return CONGESTED; /* which sendto(2) keeps to itself */
	skb->mark = DOOMED; /* dropped here, it would fail for those who want to know */
	return PASS;
}

SEC("cgroup_skb/egress")
int leave(struct __sk_buff *skb)
{
	return judge(skb, 0);
}

SEC("cgroup_skb/ingress")
int arrive(struct __sk_buff *skb)
{
	return skb->mark == DOOMED ? VANISH : judge(skb, 1);
}

char _license[] SEC("license") = "GPL";
