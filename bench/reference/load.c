/* Traffic: TCP connections as fast as they come, and bytes through one of them.
 *
 *   load serve PORT        answers the first byte of each connection, and swallows all others; prints a line when it listens
 *   load client            commands (common.h has the protocol):
 *     connect ADDRESS PORT MILLISECONDS   again and again: connect, a byte there and one back, reset; "wall" has each
 *     stream ADDRESS PORT MILLISECONDS    one connection; answers {"bytes":…,"ns":…}
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static char buffer[256 * 1024];

/* Where the scheduler puts the two sides makes more of a difference than what is measured. So connections are made on one
 * processor, where their time is that of the work; a stream has one for each side. */
static void stay_on(int processor)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	/* A machine with one processor refuses the second, which is fine. */
	sched_setaffinity(0, sizeof set, &set);
}

static int tcp_socket(int family)
{
	int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static void serve(int port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, listener = tcp_socket(AF_INET6), poll = epoll_create1(EPOLL_CLOEXEC);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (void *)&any, sizeof any) || listen(listener, 4096)) die("listen");
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener }, events[64];
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	event.data.fd = 0;
	epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
	printf("{}\n");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(poll, events, 64, -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (fd == 0) return;
			if (fd == listener) {
				event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
				if (event.data.fd < 0) continue;
				setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
				epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
				continue;
			}
			ssize_t size = read(fd, buffer, sizeof buffer);
			/* A connection that is gone shows in the next read. */
			if (size == 1 && write(fd, buffer, 1) < 0) continue;
			if (size <= 0) close(fd);
		}
	}
}

static int connected(const char *address, int port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool is_four = inet_pton(AF_INET, address, &four.sin_addr) == 1;
	if (!is_four && inet_pton(AF_INET6, address, &six.sin6_addr) != 1) die("address %s", address);
	int fd = tcp_socket(is_four ? AF_INET : AF_INET6);
	if (connect(fd, is_four ? (void *)&four : (void *)&six, is_four ? sizeof four : sizeof six)) die("connect %s %d", address, port);
	return fd;
}

static void connect_again(const char *address, int port, uint64_t until)
{
	/* Reset at close: a connection that lingers in TIME_WAIT would use up a local port. */
	const struct linger reset = { .l_onoff = 1 };
	for (uint64_t start; (start = clock_ns(CLOCK_MONOTONIC)) < until && lap.count < MAX_OPERATIONS;) {
		char byte = 'c';
		int fd = connected(address, port);
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("answer of %s %d", address, port);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		close(fd);
		lap.wall[lap.count++] = clock_ns(CLOCK_MONOTONIC) - start;
	}
	answer();
}

static void stream(const char *address, int port, uint64_t until)
{
	int fd = connected(address, port);
	uint64_t start = clock_ns(CLOCK_MONOTONIC), bytes = 0;
	while (clock_ns(CLOCK_MONOTONIC) < until) {
		ssize_t size = write(fd, buffer, sizeof buffer / 2);
		if (size < 0) die("write");
		bytes += size;
	}
	printf("{\"bytes\":%lu,\"ns\":%lu}\n", bytes, clock_ns(CLOCK_MONOTONIC) - start);
	fflush(stdout);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve")) {
		stay_on(0);
		serve(atoi(argv[2]));
		return 0;
	}
	char line[256], verb[32], address[64];
	int port, milliseconds;
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "%31s %63s %d %d", verb, address, &port, &milliseconds) != 4) die("command %s", line);
		stay_on(strcmp(verb, "connect") ? 1 : 0);
		uint64_t until = clock_ns(CLOCK_MONOTONIC) + milliseconds * 1000000ull;
		if (!strcmp(verb, "connect")) connect_again(address, port, until);
		else stream(address, port, until);
	}
	return 0;
}
