//go:build ignore

// SPDX-License-Identifier: GPL-2.0
/*
 * Sends chosen connections and datagrams of a cgroup to a listener in their own
 * network namespace, and keeps the meant destination for the listener's owner.
 *
 *   connect4, connect6          choose, and rewrite the destination
 *   connecting (sockops)        file {source} -> what is known, before the SYN
 *   getpeername4, getpeername6  show the client the address it asked for
 *   getsockname4, getsockname6  and the source that it would have had
 *   datagram.h                  the same for sockets that send without connecting
 *
 * IPv4 addresses are kept as v4-mapped IPv6; addresses and ports are in network
 * byte order everywhere.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "endpoint.h"

#define AF_INET6 10
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define LOOPBACK4_FROM bpf_htonl(0x7f000002) /* in place of 127.0.0.1: the client chose a loopback source */
#define STALE_NS 500000000LL /* a heartbeat older than this: go direct */

/* Which connections are redirected. ip all zero: any loopback address. */
struct rule_key {
	__u64 netns;  /* cookie */
	__u64 cgroup; /* that the programs are attached to */
	__be32 ip[4];
	__be16 port;
	__u16 protocol;
	__u32 pad;
};

struct rule {
	__be16 listener; /* port on 127.0.0.1 and [::1]; for datagrams on all of 127.0.0.0/8 */
	__u8 known;      /* netns says in whose namespace the destination is */
	__u8 pad;
	__s32 netns;     /* id that the client's namespace has for it; -1: itself */
	__be32 source[4]; /* that a client which leaves it open would have; 0: not known */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18);
	__type(key, struct rule_key);
	__type(value, struct rule);
} rules SEC(".maps");

/* The cgroup that a program runs for, whatever cgroup it was attached to. */
struct service {
	__u64 cgroup;
	__u64 bypassed; /* connections that a rule names and that went direct */
};

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct service);
} services SEC(".maps");

/* What is known about a socket: where it meant to go, or that it is ours. */
struct socket {
	struct endpoint meant;
	__be16 listener;
	__u8 own;   /* opened by faultbox: never redirected */
	__u8 bound; /* the client chose the source address itself */
	__be32 source[4]; /* as in struct rule */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __s32);
	__type(value, struct socket);
} sockets SEC(".maps");

/* How the listener sees a redirected connection. Services that share a namespace may have one source at once. */
struct source {
	__u64 netns;
	struct endpoint addr;
	__be16 listener; /* port */
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct source);
	__type(value, struct socket);
} connections SEC(".maps");

/* CLOCK_MONOTONIC in ns, written several times a second by the listener's owner. */
volatile __u64 heartbeat;

static __always_inline struct rule *find(struct bpf_sock_addr *ctx, const struct endpoint *to, __u64 cgroup)
{
	struct rule_key key = {
		.netns = bpf_get_netns_cookie(ctx),
		.cgroup = cgroup,
		.port = to->port,
		.protocol = ctx->protocol,
	};
	struct rule *r;

	__builtin_memcpy(key.ip, to->ip, sizeof(key.ip));
	r = bpf_map_lookup_elem(&rules, &key);
	if (r || !is_loopback(to))
		return r;
	__builtin_memset(key.ip, 0, sizeof(key.ip));
	return bpf_map_lookup_elem(&rules, &key);
}

/* Whether a socket of the destination's namespace would take the connection, or the datagram. */
static __always_inline int listening(struct bpf_sock_addr *ctx, const struct endpoint *to, __s32 netns)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 size;

	if (is_mapped(to)) {
		t.ipv4.daddr = to->ip[3];
		t.ipv4.dport = to->port;
		size = sizeof(t.ipv4);
	} else {
		__builtin_memcpy(t.ipv6.daddr, to->ip, sizeof(t.ipv6.daddr));
		t.ipv6.dport = to->port;
		size = sizeof(t.ipv6);
	}
	if (ctx->protocol == IPPROTO_UDP)
		sk = bpf_sk_lookup_udp(ctx, &t, size, netns, 0);
	else
		sk = bpf_skc_lookup_tcp(ctx, &t, size, netns, 0);
	if (!sk)
		return 0;
	bpf_sk_release(sk);
	return 1;
}

/*
 * Returns the rule by which what ctx asks for is to be redirected, or NULL. A
 * refused connection stays refused: what nobody listens on goes direct. Not so
 * for a datagram socket that connects (look is 0): it stays redirected, and the
 * server may come later; the listener's owner passes on that it is refused.
 */
static __always_inline struct rule *choose(struct bpf_sock_addr *ctx, const struct endpoint *to, int look)
{
	struct service *service = bpf_get_local_storage(&services, 0);
	struct rule *r = find(ctx, to, service->cgroup);

	if (!r || ctx->sk->bound_dev_if)
		return 0;
	if (look && r->known && !listening(ctx, to, r->netns))
		return 0;
	if ((__s64)(bpf_ktime_get_ns() - heartbeat) > STALE_NS) {
		__sync_fetch_and_add(&service->bypassed, 1);
		return 0;
	}
	return r;
}

static __always_inline int is_bound(struct bpf_sock *sk)
{
	if (sk->family == AF_INET6)
		return (sk->src_ip6[0] | sk->src_ip6[1] | sk->src_ip6[2] | sk->src_ip6[3]) != 0;
	return sk->src_ip4 != 0;
}

/*
 * Turns a destination into the listener's. A datagram keeps its address within
 * 127.0.0.0/8: there is nothing else to tell it by. One that is sent from
 * loopback to elsewhere goes to 127.0.0.2 if that is the client's own choice.
 */
static __always_inline void lead(struct bpf_sock_addr *ctx, struct endpoint *to, __be16 listener, int bound)
{
	int datagram = ctx->protocol == IPPROTO_UDP;

	to->port = listener;
	if (!is_mapped(to)) {
		to->ip[0] = to->ip[1] = to->ip[2] = 0;
		to->ip[3] = LOOPBACK6;
	} else if (!datagram || !is_loopback4(to->ip[3])) {
		int from = datagram && bound && is_loopback4(ctx->sk->src_ip4);

		to->ip[3] = from ? LOOPBACK4_FROM : LOOPBACK4;
	}
}

/*
 * Whether the connection is to be redirected: to is then the listener's, and
 * what was meant is remembered with the socket. A socket may connect again
 * (AF_UNSPEC, or after a failure), hence the delete. Where a cgroup and one
 * above it both have the program, the second sees what the first rewrote.
 */
static __always_inline int redirect(struct bpf_sock_addr *ctx, struct endpoint *to)
{
	struct socket *s = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);
	int datagram = ctx->protocol == IPPROTO_UDP;
	int again = s && datagram; /* has the source of last time, if it wasn't disconnected */
	struct rule *r;

	if (s && (s->own || (s->listener == to->port && is_loopback(to))))
		return 0;
	normalise(to);
	r = choose(ctx, to, !datagram);
	if (!r) {
		if (s)
			bpf_sk_storage_delete(&sockets, ctx->sk);
		return 0;
	}
	s = bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		return 0;
	s->meant = *to;
	s->listener = r->listener;
	__builtin_memcpy(s->source, r->source, sizeof(s->source));
	if (!again)
		s->bound = is_bound(ctx->sk);
	lead(ctx, to, s->listener, s->bound);
	return 1;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct endpoint to = {.ip = {0, 0, MAPPED, ctx->user_ip4}, .port = ctx->user_port};

	if (redirect(ctx, &to)) {
		ctx->user_ip4 = to.ip[3];
		ctx->user_port = to.port;
	}
	return 1;
}

static __always_inline void show(struct bpf_sock_addr *ctx, const __be32 ip[4])
{
	ctx->user_ip6[0] = ip[0];
	ctx->user_ip6[1] = ip[1];
	ctx->user_ip6[2] = ip[2];
	ctx->user_ip6[3] = ip[3];
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct endpoint to = {
		.ip = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]},
		.port = ctx->user_port,
	};

	if (!is_link_local(&to) && redirect(ctx, &to)) {
		show(ctx, to.ip);
		ctx->user_port = to.port;
	}
	return 1;
}

/* TCP_CONNECT_CB: the source is known and the SYN, whatever it carries, not yet sent. */
SEC("sockops")
int connecting(struct bpf_sock_ops *ctx)
{
	struct source from = {};
	struct bpf_sock *sk = ctx->sk;
	struct socket *s;

	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB || !sk)
		return 1;
	s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!s || s->own)
		return 1;
	from.netns = bpf_get_netns_cookie(ctx);
	from.listener = s->listener;
	from.addr.port = bpf_htons(ctx->local_port);
	from.addr.ip[2] = MAPPED;
	from.addr.ip[3] = ctx->local_ip4;
	if (ctx->family == AF_INET6) {
		from.addr.ip[0] = ctx->local_ip6[0];
		from.addr.ip[1] = ctx->local_ip6[1];
		from.addr.ip[2] = ctx->local_ip6[2];
		from.addr.ip[3] = ctx->local_ip6[3];
	}
	bpf_map_update_elem(&connections, &from, s, 0);
	return 1;
}

/*
 * What is known about the socket whose name, or whose peer's, is asked. With a
 * multipath socket it is the socket itself that is asked, while it was its
 * first subflow that connected: the two share their source.
 */
static __always_inline struct socket *named(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct socket *s = bpf_sk_storage_get(&sockets, sk, 0, 0);
	struct source from = {};

	if (s)
		return s->own ? 0 : s;
	if (sk->protocol != IPPROTO_MPTCP)
		return 0;
	from.netns = bpf_get_netns_cookie(ctx);
	from.listener = sk->dst_port;
	from.addr.port = bpf_htons(sk->src_port);
	from.addr.ip[2] = MAPPED;
	from.addr.ip[3] = sk->src_ip4;
	if (sk->family == AF_INET6)
		__builtin_memcpy(from.addr.ip, sk->src_ip6, sizeof(from.addr.ip));
	return bpf_map_lookup_elem(&connections, &from);
}

/* Whether the source that the socket has is the listener's doing. */
static __always_inline int sourced(const struct socket *s)
{
	return s && !s->bound && (s->source[0] | s->source[1] | s->source[2] | s->source[3]);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	struct socket *s = named(ctx);

	if (s) {
		ctx->user_ip4 = s->meant.ip[3];
		ctx->user_port = s->meant.port;
	}
	return 1;
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr *ctx)
{
	struct socket *s = named(ctx);

	if (sourced(s) && ctx->user_ip4 == LOOPBACK4)
		ctx->user_ip4 = s->source[3];
	return 1;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	struct socket *s = named(ctx);

	if (s) {
		show(ctx, s->meant.ip);
		ctx->user_port = s->meant.port;
	}
	return 1;
}

SEC("cgroup/getsockname6")
int getsockname6(struct bpf_sock_addr *ctx)
{
	struct socket *s = named(ctx);

	if (sourced(s) && (ctx->user_ip6[3] == LOOPBACK4 || ctx->user_ip6[3] == LOOPBACK6))
		show(ctx, s->source);
	return 1;
}

#include "datagram.h"

/* bpf_ktime_get_ns is for programs under a GPL-compatible licence only. */
char gpl[] SEC("license") = "GPL";
