/* The limit: what a pod's network costs when nothing but the kernel works. The same kernel objects as podnet makes, by
 * the same messages, and no library: no checks, no ownership, no undo, no record beyond one small file.
 *
 *   namespace   unshare, open, a netlink socket that stays in it, home again; bind mount
 *   host        one send: veth pair with its far end born in the pod, settings while down, up, routes, neighbours
 *   pod         one send: lo, eth0, addresses without duplicate detection, neighbours of the gateway, default routes
 *   ready       until the carrier's work is done and the IPv6 address is usable: without it first packets are lost
 *   ports       one nf_tables transaction: an element for each port and IP version, and the hairpin pairs
 *   note        one file, written aside and renamed
 *
 * Removal takes the elements and routes away and drops the namespace; the kernel destroys the link on its own time.
 *
 * Commands (common.h has the protocol; FIRST numbers the pods, BASE is their first host port):
 *   create FIRST COUNT PORTS BASE    remove FIRST COUNT    fill FIRST COUNT (namespaces with links, to be claimed by create)
 *   addPorts FIRST COUNT PORTS BASE  removePorts FIRST COUNT PORTS BASE   churn FIRST COUNT PORTS BASE (create, remove, …)
 *
 * Run in a network and mount namespace of its own, with a directory for pins and files; `join` as the second argument
 * says that another such process has set up the node.
 */
#include "netlink.h"

enum { EMPTY, LINKED, WHOLE };
#define MAX_RANGES 4

struct pod {
	int state, number, namespace, socket, index, ranges;
	char link[IFNAMSIZ], pin[256], note[256];
	uint8_t mac[6], four[4], six[16];
	struct { uint16_t first, count; } ports[MAX_RANGES];
};

#define MAX_PODS 70000
static struct pod pods[MAX_PODS];
static struct batch batch;
static int home, host, filter;
static const char *directory;
static const uint8_t HOST_MAC[6] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };
static const uint8_t GATEWAY4[4] = { 10, 64, 0, 1 };
static const uint8_t GATEWAY6[16] = { 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
enum { LO = 1, ETH0 = 2 };

/* Whether the pod's IPv6 address is usable. Even without duplicate detection it is not at once, and the kernel tells. */
static bool usable;

static void on_address(const struct nlmsghdr *m)
{
	const struct ifaddrmsg *a = NLMSG_DATA(m);
	if (m->nlmsg_type != RTM_NEWADDR || a->ifa_family != AF_INET6 || a->ifa_index != ETH0) return;
	uint32_t flags = a->ifa_flags;
	int size = m->nlmsg_len - NLMSG_LENGTH(sizeof *a);
	for (struct rtattr *r = IFA_RTA(a); RTA_OK(r, size); r = RTA_NEXT(r, size))
		if (r->rta_type == IFA_FLAGS) flags = *(uint32_t *)RTA_DATA(r);
	if (!(flags & IFA_F_TENTATIVE)) usable = true;
}

static struct pod *pod_of(int number)
{
	if (number < 0 || number >= MAX_PODS) die("pod %d", number);
	return &pods[number];
}
static void name_pod(struct pod *p, int number)
{
	uint32_t n = htonl(number + 2);
	memset(p, 0, sizeof *p);
	p->number = number;
	p->index = 100000 + number;
	snprintf(p->link, sizeof p->link, "pod%d", number);
	snprintf(p->pin, sizeof p->pin, "%s/pod%d", directory, number);
	snprintf(p->note, sizeof p->note, "%s/pod%d.json", directory, number);
	memcpy(p->mac, "\x02\x64", 2);
	memcpy(p->mac + 2, &n, 4);
	memcpy(p->four, &n, 4);
	p->four[0] = 10;
	p->four[1] |= 64;
	p->six[0] = 0xfd;
	memcpy(p->six + 12, &n, 4);
}

/* ---- in the order of a pod's life ---- */
static void make_namespace(struct pod *p)
{
	p->namespace = enter_new_namespace();
	p->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (p->socket < 0 || setns(home, CLONE_NEWNET)) die("home");
	pin_namespace(p->namespace, p->pin);
}
static void put_link(struct pod *p)
{
	const struct veth_end here = { p->link, HOST_MAC, p->index, -1 }, there = { "eth0", p->mac, ETH0, p->namespace };
	add_veth(&batch, &here, &there);
	set_devconf(&batch, p->index, true);
	set_up(&batch, p->index);
}
static void put_host_routes(struct pod *p)
{
	route(&batch, RTM_NEWROUTE, p->index, AF_INET, p->four, NULL);
	add_neighbour(&batch, p->index, AF_INET, p->four, p->mac);
	route(&batch, RTM_NEWROUTE, p->index, AF_INET6, p->six, NULL);
	add_neighbour(&batch, p->index, AF_INET6, p->six, p->mac);
}
static void put_pod_links(void)
{
	set_up(&batch, LO);
	set_devconf(&batch, ETH0, false);
	set_up(&batch, ETH0);
}
static void configure_pod(struct pod *p)
{
	const int group = RTNLGRP_IPV6_IFADDR;
	usable = false;
	if (setsockopt(p->socket, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group)) die("join");
	add_address(&batch, ETH0, AF_INET, p->four);
	add_address(&batch, ETH0, AF_INET6, p->six);
	add_neighbour(&batch, ETH0, AF_INET, GATEWAY4, HOST_MAC);
	add_neighbour(&batch, ETH0, AF_INET6, GATEWAY6, HOST_MAC);
	route(&batch, RTM_NEWROUTE, ETH0, AF_INET, NULL, GATEWAY4);
	route(&batch, RTM_NEWROUTE, ETH0, AF_INET6, NULL, GATEWAY6);
	must(p->socket, &batch, on_address, "pod");
}
static void await_ready(struct pod *p)
{
	static char event[32 * 1024];
	const int group = RTNLGRP_IPV6_IFADDR;
	while (!usable) {
		ssize_t size = recv(p->socket, event, sizeof event, 0);
		if (size < 0) die("event");
		for (struct nlmsghdr *m = (void *)event; NLMSG_OK(m, size); m = NLMSG_NEXT(m, size)) on_address(m);
	}
	setsockopt(p->socket, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group);
	/* A link that was up before its peer drops packets until the carrier's work item has run; this request runs it. */
	get_link(&batch, p->index);
	must(host, &batch, NULL, "link");
}

/* Fields of a concatenation are padded to four bytes. */
struct port_key { uint8_t protocol, pad[3]; uint16_t port, pad2; };
struct target4 { uint8_t address[4]; uint16_t port, pad; };
struct target6 { uint8_t address[16]; uint16_t port, pad; };

static void put_ports(struct pod *p, int type, int first, int count)
{
	for (int family = 4; family <= 6; family += 2) {
		size_t at = elements_of(&batch, type, family == 4 ? "ports4" : "ports6");
		for (int i = 0; i < count; i++) {
			struct port_key key = { .protocol = 6, .port = htons(first + i) };
			struct target4 four = { .port = htons(80 + i) };
			struct target6 six = { .port = htons(80 + i) };
			memcpy(four.address, p->four, 4);
			memcpy(six.address, p->six, 16);
			if (family == 4) element(&batch, &key, sizeof key, &four, sizeof four);
			else element(&batch, &key, sizeof key, &six, sizeof six);
		}
		elements_end(&batch, at);
	}
}
static void put_hairpin(struct pod *p, int type)
{
	uint8_t four[8], six[32];
	for (int i = 0; i < 2; i++) {
		memcpy(four + 4 * i, p->four, 4);
		memcpy(six + 16 * i, p->six, 16);
	}
	size_t at = elements_of(&batch, type, "hairpin4");
	element(&batch, four, sizeof four, NULL, 0);
	elements_end(&batch, at);
	at = elements_of(&batch, type, "hairpin6");
	element(&batch, six, sizeof six, NULL, 0);
	elements_end(&batch, at);
}
static void commit(void)
{
	/* The acknowledgement is asked of the last element: the end of a transaction gives none. */
	batch.current->nlmsg_flags |= NLM_F_ACK;
	transaction(&batch, NFNL_MSG_BATCH_END);
	int error = transact(filter, &batch, NULL);
	if (error) { errno = -error; die("nf_tables"); }
}
static void remember_ports(struct pod *p, int first, int count)
{
	if (p->ranges == MAX_RANGES) die("too many ranges");
	p->ports[p->ranges].first = first;
	p->ports[p->ranges++].count = count;
}
static void add_ports(struct pod *p, int first, int count)
{
	transaction(&batch, NFNL_MSG_BATCH_BEGIN);
	put_ports(p, NFT_MSG_NEWSETELEM, first, count);
	commit();
	remember_ports(p, first, count);
}
static void remove_ports(struct pod *p, int first, int count)
{
	transaction(&batch, NFNL_MSG_BATCH_BEGIN);
	put_ports(p, NFT_MSG_DELSETELEM, first, count);
	commit();
	p->ranges--;
}
static void note(struct pod *p, int ports, int base)
{
	char aside[300], text[512];
	int size = snprintf(text, sizeof text, "{\"name\":\"%s\",\"netns\":\"%s\",\"ip\":\"%d.%d.%d.%d\",\"ports\":[%d,%d]}\n",
			    p->link, p->pin, p->four[0], p->four[1], p->four[2], p->four[3], base, ports);
	snprintf(aside, sizeof aside, "%s.new", p->note);
	write_file(aside, text, size);
	if (rename(aside, p->note)) die("%s", p->note);
}

static void link_pod(int number)
{
	struct pod *p = pod_of(number);
	name_pod(p, number);
	make_namespace(p);
	put_link(p);
	must(host, &batch, NULL, "link");
	put_pod_links();
	must(p->socket, &batch, NULL, "pod links");
	p->state = LINKED;
}
static void create(int number, int ports, int base)
{
	struct pod *p = pod_of(number);
	if (p->state == EMPTY) {
		name_pod(p, number);
		make_namespace(p);
		put_link(p);
		put_host_routes(p);
		must(host, &batch, NULL, "host");
		put_pod_links();
	} else {
		put_host_routes(p);
		must(host, &batch, NULL, "host");
	}
	configure_pod(p);
	transaction(&batch, NFNL_MSG_BATCH_BEGIN);
	if (ports) put_ports(p, NFT_MSG_NEWSETELEM, base, ports);
	put_hairpin(p, NFT_MSG_NEWSETELEM);
	commit();
	if (ports) remember_ports(p, base, ports);
	await_ready(p);
	note(p, ports, base);
	p->state = WHOLE;
}
static void destroy(int number)
{
	struct pod *p = pod_of(number);
	transaction(&batch, NFNL_MSG_BATCH_BEGIN);
	for (int i = 0; i < p->ranges; i++) put_ports(p, NFT_MSG_DELSETELEM, p->ports[i].first, p->ports[i].count);
	put_hairpin(p, NFT_MSG_DELSETELEM);
	commit();
	/* The link lives until the kernel has destroyed the namespace: give the addresses back now. */
	route(&batch, RTM_DELROUTE, p->index, AF_INET, p->four, NULL);
	route(&batch, RTM_DELROUTE, p->index, AF_INET6, p->six, NULL);
	must(host, &batch, NULL, "routes");
	close(p->socket);
	close(p->namespace);
	unpin_namespace(p->pin);
	unlink(p->note);
	p->state = EMPTY;
}

static const char RULES[] =
	"table inet pods {\n"
	"  map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	"  map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	"  set hairpin4 { type ipv4_addr . ipv4_addr; }\n"
	"  set hairpin6 { type ipv6_addr . ipv6_addr; }\n"
	"  chain to_pods {\n"
	"    dnat ip to meta l4proto . th dport map @ports4\n"
	"    dnat ip6 to meta l4proto . th dport map @ports6\n"
	"  }\n"
	"  chain prerouting { type nat hook prerouting priority dstnat; fib daddr type local goto to_pods; }\n"
	"  chain output { type nat hook output priority -100; fib daddr type local goto to_pods; }\n"
	"  chain postrouting {\n"
	"    type nat hook postrouting priority srcnat\n"
	"    ip saddr . ip daddr @hairpin4 masquerade\n"
	"    ip6 saddr . ip6 daddr @hairpin6 masquerade\n"
	"  }\n"
	"}\n";

static void set_up_node(void)
{
	set_sysctl("/proc/sys/net/ipv4/ip_forward");
	set_sysctl("/proc/sys/net/ipv6/conf/all/forwarding");
	set_up(&batch, LO);
	add_address(&batch, LO, AF_INET, GATEWAY4);
	add_address(&batch, LO, AF_INET6, GATEWAY6);
	must(host, &batch, NULL, "lo");
	FILE *nft = popen("nft -f -", "w");
	if (!nft || fputs(RULES, nft) < 0 || pclose(nft)) die("nft");
}

int main(int argc, char **argv)
{
	if (argc < 2) die("usage: pod DIRECTORY [join]");
	directory = argv[1];
	/* A descriptor table that grows waits for RCU when the process has threads; podnet's has. Grown once, here. */
	struct rlimit files = { 1 << 20, 1 << 20 };
	setrlimit(RLIMIT_NOFILE, &files);
	close(fcntl(0, F_DUPFD_CLOEXEC, 65536));
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	host = netlink_socket(NETLINK_ROUTE);
	filter = netlink_socket(NETLINK_NETFILTER);
	if (argc < 3) set_up_node();
	char line[256], verb[32];
	while (fgets(line, sizeof line, stdin)) {
		int first = 0, count = 0, ports = 0, base = 0;
		sscanf(line, "%31s %d %d %d %d", verb, &first, &count, &ports, &base);
		for (int i = 0; i < count; i++) {
			int number = first + i, port = base + i * ports;
			lap_start();
			if (!strcmp(verb, "create")) create(number, ports, port);
			else if (!strcmp(verb, "remove")) destroy(number);
			else if (!strcmp(verb, "fill")) link_pod(number);
			else if (!strcmp(verb, "addPorts")) add_ports(pod_of(number), port, ports);
			else if (!strcmp(verb, "removePorts")) remove_ports(pod_of(number), port, ports);
			else if (!strcmp(verb, "churn")) { create(number, ports, port); destroy(number); }
			else die("unknown command %s", verb);
			lap_end();
		}
		answer();
	}
	return 0;
}
