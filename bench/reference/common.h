/* What the programs of the benchmark share: clocks, errors, and the protocol by which the harness drives them.
 *
 * The harness writes one command a line, words and numbers; the program answers each with one line of JSON:
 *   {"wall":[nanoseconds of each operation],"cpu":[the same of this process and the children it waited for]}
 */
#ifndef COMMON_H
#define COMMON_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	const char *reason = strerror(errno);
	va_list values;
	va_start(values, format);
	vfprintf(stderr, format, values);
	fprintf(stderr, ": %s\n", reason);
	exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}
static uint64_t time_ns(struct timeval t) { return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u; }

/* CPU time of this process and of all children that have ended. */
static uint64_t cpu_ns(void)
{
	struct rusage children;
	getrusage(RUSAGE_CHILDREN, &children);
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) + time_ns(children.ru_utime) + time_ns(children.ru_stime);
}

/* The operations of one command. */
#define MAX_OPERATIONS 100000
static struct {
	int count;
	uint64_t wall[MAX_OPERATIONS], cpu[MAX_OPERATIONS], wall_start, cpu_start;
} lap;

static void lap_start(void)
{
	lap.cpu_start = cpu_ns();
	lap.wall_start = clock_ns(CLOCK_MONOTONIC);
}
static void lap_end(void)
{
	if (lap.count == MAX_OPERATIONS) die("too many operations");
	lap.wall[lap.count] = clock_ns(CLOCK_MONOTONIC) - lap.wall_start;
	lap.cpu[lap.count++] = cpu_ns() - lap.cpu_start;
}
static void answer_list(const char *name, const uint64_t *values)
{
	printf("\"%s\":[", name);
	for (int i = 0; i < lap.count; i++) printf(i ? ",%lu" : "%lu", values[i]);
	printf("]");
}
static void answer(void)
{
	printf("{");
	answer_list("wall", lap.wall);
	printf(",");
	answer_list("cpu", lap.cpu);
	printf("}\n");
	fflush(stdout);
	lap.count = 0;
}

/* A file with these bytes, made or written over. */
static void write_file(const char *path, const char *text, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, size) != (ssize_t)size) die("%s", path);
	close(fd);
}
static void set_sysctl(const char *path) { write_file(path, "1", 1); }

/* A new network namespace, open. The thread stays inside until it goes home by setns(2). */
static int enter_new_namespace(void)
{
	if (unshare(CLONE_NEWNET)) die("unshare");
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0) die("namespace");
	return fd;
}
/* The path that containers join, and that keeps the namespace. */
static void pin_namespace(int namespace, const char *path)
{
	char source[32];
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0) die("%s", path);
	close(fd);
	snprintf(source, sizeof source, "/proc/self/fd/%d", namespace);
	if (mount(source, path, NULL, MS_BIND, NULL)) die("mount %s", path);
}
static void unpin_namespace(const char *path)
{
	if (umount2(path, MNT_DETACH) || unlink(path)) die("unpin %s", path);
}
#endif
