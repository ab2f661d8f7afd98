//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/*
 * Drops packets between the services of a world: all, a share, or what exceeds
 * a rate. Connections that exist already are hit like new ones.
 *
 *   leave (cgroup_skb/egress)   packets that a service sends to another's port
 *   arrive (cgroup_skb/ingress) packets that a service gets from another's port
 *
 * A service is a cgroup; whom a packet goes to or comes from is told by the port
 * at the far end, on an address of this host.
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

/* Packets of a cgroup to (side 0) or from (side 1) a port. */
struct flow {
	__u64 cgroup;
	__be16 port;
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

/*
 * Where redirected sockets meant to go: the map of that name in redirect.c, of
 * whose values this is the beginning.
 */
struct meant {
	__be32 ip[4];
	__be16 port;
	__u16 pad;
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

/* The far end of a packet. Returns the protocol above IP, 0 if it is none of ours. */
static __always_inline int far_end(struct __sk_buff *skb, int side, __be16 *port)
{
	__u8 head[40] __attribute__((aligned(8)));
	__u8 first;
	__u32 at;
	__u8 proto;
	int local;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return 0;
	if (first >> 4 == 4) {
		__be32 near, far;

		if (bpf_skb_load_bytes(skb, 0, head, 20))
			return 0;
		proto = head[9];
		near = *(__be32 *)(head + (side ? 16 : 12));
		far = *(__be32 *)(head + (side ? 12 : 16));
		local = far == near || (far & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
		at = (first & 15) * 4;
	} else {
		__u64 *src = (__u64 *)(head + 8), *dst = (__u64 *)(head + 24);

		if (bpf_skb_load_bytes(skb, 0, head, 40))
			return 0;
		proto = head[6];
		local = src[0] == dst[0] && src[1] == dst[1];
		at = 40;
	}
	if (!local || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return 0;
	if (bpf_skb_load_bytes(skb, at + (side ? 0 : 2), port, 2))
		return 0;
	return proto;
}

static __always_inline int judge(struct __sk_buff *skb, int side)
{
	struct flow flow = { .cgroup = bpf_skb_cgroup_id(skb), .side = side };
	struct bpf_sock *sk = skb->sk;
	struct meant *meant = 0;
	__u64 *mask;
	int proto = far_end(skb, side, &flow.port);

	if (!proto)
		return 1;
	if (sk && (sk = bpf_sk_fullsock(sk)))
		meant = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (meant && meant->port)
		flow.port = meant->port;
	mask = bpf_map_lookup_elem(&flows, &flow);
	if (!mask || !vanishes(*mask, skb->len))
		return 1;
	if (side || proto == IPPROTO_TCP || meant)
		return 0;
	skb->mark = DOOMED; /* dropped here, sendto(2) would say EPERM */
	return 1;
}

SEC("cgroup_skb/egress")
int leave(struct __sk_buff *skb)
{
	return judge(skb, 0);
}

SEC("cgroup_skb/ingress")
int arrive(struct __sk_buff *skb)
{
	return skb->mark == DOOMED ? 0 : judge(skb, 1);
}

char _license[] SEC("license") = "GPL";
