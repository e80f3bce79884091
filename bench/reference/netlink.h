/* Netlink by hand: a send buffer that holds many messages, one send(), and the answers read until the last one.
 *
 * The kernel works through all messages of one send() before send() returns, and answers a message that fails
 * whether or not it asked for an answer (netlink_rcv_skb in net/netlink/af_netlink.c). So asking for one
 * acknowledgement, on the last message, loses no error.
 */
#ifndef NETLINK_H
#define NETLINK_H
#include "common.h"
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

struct batch {
	size_t length;
	struct nlmsghdr *current;
	uint32_t sequence;
	char bytes[256 * 1024];
};

static void *put(struct batch *b, const void *from, size_t size)
{
	char *to = b->bytes + b->length;
	b->length += NLMSG_ALIGN(size);
	if (b->length > sizeof b->bytes) die("batch too long");
	memset(to, 0, NLMSG_ALIGN(size));
	if (from) memcpy(to, from, size);
	return to;
}
static void message(struct batch *b, int type, int flags, const void *header, size_t size)
{
	struct nlmsghdr *m = put(b, NULL, sizeof *m);
	m->nlmsg_type = type;
	m->nlmsg_flags = NLM_F_REQUEST | flags;
	m->nlmsg_seq = ++b->sequence;
	b->current = m;
	put(b, header, size);
}
static void end(struct batch *b) { b->current->nlmsg_len = b->bytes + b->length - (char *)b->current; }

static void attr(struct batch *b, int type, const void *value, size_t size)
{
	struct rtattr a = { .rta_len = sizeof a + size, .rta_type = type };
	put(b, &a, sizeof a);
	if (size) put(b, value, size);
}
static void attr_u8(struct batch *b, int type, uint8_t v) { attr(b, type, &v, sizeof v); }
static void attr_u32(struct batch *b, int type, uint32_t v) { attr(b, type, &v, sizeof v); }
static void attr_text(struct batch *b, int type, const char *v) { attr(b, type, v, strlen(v) + 1); }
static size_t nest(struct batch *b, int type)
{
	size_t at = b->length;
	attr(b, type, NULL, 0);
	return at;
}
static void nest_end(struct batch *b, size_t at) { ((struct rtattr *)(b->bytes + at))->rta_len = b->length - at; }

static int netlink_socket(int protocol)
{
	int one = 1, big = 8 << 20;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (fd < 0) die("netlink socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
	return fd;
}

typedef void (*on_message)(const struct nlmsghdr *m);

/* Sends everything that was collected, and reads until the answer to its last message. What is neither an answer nor
 * an error goes to `other`. Returns 0 or the first error as a negative errno. */
static int transact(int fd, struct batch *b, on_message other)
{
	static char answer[64 * 1024];
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	uint32_t last = 0;
	int error = 0;
	for (size_t at = 0; at < b->length;) {
		const struct nlmsghdr *m = (void *)(b->bytes + at);
		if (m->nlmsg_flags & NLM_F_ACK) last = m->nlmsg_seq;
		at += NLMSG_ALIGN(m->nlmsg_len);
	}
	if (sendto(fd, b->bytes, b->length, 0, (void *)&kernel, sizeof kernel) < 0) die("netlink send");
	b->length = 0;
	for (;;) {
		ssize_t size = recv(fd, answer, sizeof answer, 0);
		if (size < 0 && errno == EINTR) continue;
		if (size < 0) die("netlink recv");
		for (struct nlmsghdr *m = (void *)answer; NLMSG_OK(m, size); m = NLMSG_NEXT(m, size)) {
			if (m->nlmsg_type == NLMSG_ERROR) {
				if (!error) error = ((struct nlmsgerr *)NLMSG_DATA(m))->error;
				if (m->nlmsg_seq == last) return error;
			} else if (other) other(m);
		}
	}
}
static void must(int fd, struct batch *b, on_message other, const char *what)
{
	b->current->nlmsg_flags |= NLM_F_ACK;
	int error = transact(fd, b, other);
	if (error) { errno = -error; die("%s", what); }
}

/* One end of a veth pair. Queues: the default is one for each possible CPU, each with its objects in sysfs. */
struct veth_end {
	const char *name;
	const uint8_t *mac;
	int index, namespace;
};
static void veth_end(struct batch *b, const struct veth_end *e)
{
	attr_text(b, IFLA_IFNAME, e->name);
	attr(b, IFLA_ADDRESS, e->mac, 6);
	attr_u32(b, IFLA_MTU, 1500);
	attr_u32(b, IFLA_NUM_TX_QUEUES, 1);
	attr_u32(b, IFLA_NUM_RX_QUEUES, 1);
	if (e->namespace >= 0) attr_u32(b, IFLA_NET_NS_FD, e->namespace);
}
/* Both ends complete at birth, each in its namespace: moving one later waits for RCU twice, under the rtnl lock. */
static void add_veth(struct batch *b, const struct veth_end *host, const struct veth_end *pod)
{
	struct ifinfomsg h = { .ifi_index = host->index }, p = { .ifi_index = pod->index };
	message(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &h, sizeof h);
	veth_end(b, host);
	size_t info = nest(b, IFLA_LINKINFO);
	attr(b, IFLA_INFO_KIND, "veth", 4);
	size_t data = nest(b, IFLA_INFO_DATA), peer = nest(b, VETH_INFO_PEER);
	put(b, &p, sizeof p);
	veth_end(b, pod);
	nest_end(b, peer);
	nest_end(b, data);
	nest_end(b, info);
	end(b);
}
/* Per-device settings while the device is down: once it is up, each makes IPv6 walk all its routes. */
static void set_devconf(struct batch *b, int index, bool host)
{
	struct ifinfomsg i = { .ifi_index = index };
	message(b, RTM_SETLINK, 0, &i, sizeof i);
	size_t spec = nest(b, IFLA_AF_SPEC), six = nest(b, AF_INET6);
	attr_u8(b, IFLA_INET6_ADDR_GEN_MODE, 1 /* none: no link-local address */);
	nest_end(b, six);
	if (host) {
		size_t four = nest(b, AF_INET), conf = nest(b, IFLA_INET_CONF);
		attr_u32(b, 1 /* forwarding */, 1);
		attr_u32(b, 8 /* rp_filter */, 0);
		attr_u32(b, 3 /* proxy_arp */, 0);
		nest_end(b, conf);
		nest_end(b, four);
	}
	nest_end(b, spec);
	end(b);
}
static void set_up(struct batch *b, int index)
{
	struct ifinfomsg i = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	message(b, RTM_SETLINK, 0, &i, sizeof i);
	end(b);
}
static void get_link(struct batch *b, int index)
{
	struct ifinfomsg i = { .ifi_index = index };
	message(b, RTM_GETLINK, 0, &i, sizeof i);
	attr_u32(b, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	end(b);
}
static int size_of(int family) { return family == AF_INET ? 4 : 16; }

static void add_address(struct batch *b, int index, int family, const void *address)
{
	struct ifaddrmsg a = { .ifa_family = family, .ifa_prefixlen = 8 * size_of(family), .ifa_index = index,
			       .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0 };
	message(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
	attr(b, IFA_LOCAL, address, size_of(family));
	attr(b, IFA_ADDRESS, address, size_of(family));
	end(b);
}
/* To one address directly, or without a destination the default route through a gateway that is taken to be on the link. */
static void route(struct batch *b, int type, int index, int family, const void *destination, const void *gateway)
{
	struct rtmsg r = { .rtm_family = family, .rtm_dst_len = destination ? 8 * size_of(family) : 0,
			   .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST,
			   .rtm_scope = gateway || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
			   .rtm_flags = gateway ? RTNH_F_ONLINK : 0 };
	message(b, type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0, &r, sizeof r);
	if (destination) attr(b, RTA_DST, destination, size_of(family));
	if (gateway) attr(b, RTA_GATEWAY, gateway, size_of(family));
	attr_u32(b, RTA_OIF, index);
	end(b);
}
static void add_neighbour(struct batch *b, int index, int family, const void *address, const uint8_t *mac)
{
	struct ndmsg n = { .ndm_family = family, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT };
	message(b, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &n, sizeof n);
	attr(b, NDA_DST, address, size_of(family));
	attr(b, NDA_LLADDR, mac, 6);
	end(b);
}

/* nf_tables: a transaction is the messages between these two. */
static void transaction(struct batch *b, int type)
{
	struct nfgenmsg g = { .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	message(b, type, 0, &g, sizeof g);
	end(b);
}
/* Elements of one set: elements_of, then element for each, then elements_end. */
static size_t elements_of(struct batch *b, int type, const char *set)
{
	struct nfgenmsg g = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	int flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE | NLM_F_EXCL : 0;
	message(b, NFNL_SUBSYS_NFTABLES << 8 | type, flags, &g, sizeof g);
	attr_text(b, NFTA_SET_ELEM_LIST_TABLE, "pods");
	attr_text(b, NFTA_SET_ELEM_LIST_SET, set);
	return nest(b, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED);
}
static void datum(struct batch *b, int type, const void *value, size_t size)
{
	size_t at = nest(b, type | NLA_F_NESTED);
	attr(b, NFTA_DATA_VALUE, value, size);
	nest_end(b, at);
}
static void element(struct batch *b, const void *key, size_t key_size, const void *data, size_t data_size)
{
	size_t at = nest(b, NFTA_LIST_ELEM | NLA_F_NESTED);
	datum(b, NFTA_SET_ELEM_KEY, key, key_size);
	if (data) datum(b, NFTA_SET_ELEM_DATA, data, data_size);
	nest_end(b, at);
}
static void elements_end(struct batch *b, size_t at)
{
	nest_end(b, at);
	end(b);
}
#endif
