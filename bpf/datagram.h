/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A socket that sends without connecting: each datagram is led to the listener
 * that stands for its destination, and what comes back is shown as coming from
 * there. No state is kept per socket or datagram.
 *
 *   sendmsg4, sendmsg6  choose, and rewrite the destination
 *   recvmsg4, recvmsg6  show the client the address that it meant
 */
#pragma once

/* A listener for datagrams. */
struct inlet {
	__u64 netns; /* cookie */
	__be16 port;
	__u16 v6; /* it is on ::1, else on 127.0.0.0/8 */
	__u32 pad;
};

/* What it stands for. ip all zero: the loopback address that it was reached at. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, struct inlet);
	__type(value, struct endpoint);
} inlets SEC(".maps");

/* Whether a datagram is to be redirected; to is then the listener's address. */
static __always_inline int divert(struct bpf_sock_addr *ctx, struct endpoint *to)
{
	struct socket *s = bpf_sk_storage_get(&sockets, ctx->sk, 0, 0);
	struct rule *r;

	if (s && s->own)
		return 0;
	normalise(to);
	r = choose(ctx, to, 1);
	if (!r)
		return 0;
	lead(ctx, to, r->listener, !s || s->bound);
	return 1;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct endpoint to = {.ip = {0, 0, MAPPED, ctx->user_ip4}, .port = ctx->user_port};

	if (divert(ctx, &to)) {
		ctx->user_ip4 = to.ip[3];
		ctx->user_port = to.port;
	}
	return 1;
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct endpoint to = {
		.ip = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]},
		.port = ctx->user_port,
	};

	if (!is_link_local(&to) && divert(ctx, &to)) {
		show(ctx, to.ip);
		ctx->user_port = to.port;
	}
	return 1;
}

/* What a datagram's source, an address of ours, stands for; NULL if it is none. */
static __always_inline struct endpoint *origin(struct bpf_sock_addr *ctx, const struct endpoint *from)
{
	struct inlet key = {.port = from->port, .v6 = !is_mapped(from)};

	if (!is_loopback(from))
		return 0;
	key.netns = bpf_get_netns_cookie(ctx);
	return bpf_map_lookup_elem(&inlets, &key);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	struct endpoint from = {.ip = {0, 0, MAPPED, ctx->user_ip4}, .port = ctx->user_port};
	struct endpoint *meant = origin(ctx, &from);

	if (meant) {
		if (meant->ip[3])
			ctx->user_ip4 = meant->ip[3];
		ctx->user_port = meant->port;
	}
	return 1;
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	struct endpoint from = {
		.ip = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]},
		.port = ctx->user_port,
	};
	struct endpoint *meant = origin(ctx, &from);

	if (meant) {
		if (meant->ip[0] | meant->ip[1] | meant->ip[2] | meant->ip[3])
			show(ctx, meant->ip);
		ctx->user_port = meant->port;
	}
	return 1;
}
