/* Other people's programs under measurement: chains of CNI plugins, netavark, a shell script. This does what a container
 * runtime does around them, as cheaply as C can: a namespace, its pin, the configuration on their standard input.
 *
 *   peer cni DIRECTORY bridge | ptp | bridge-dual     plugin and host-local, then portmap, as in containerd's example
 *   peer cni DIRECTORY LAUNCHER                       podnet as a plugin, dual stack, by the path of its executable
 *   peer netavark DIRECTORY
 *   peer script DIRECTORY FILE                        sh FILE add|remove NUMBER PORT COUNT
 *   peer command DIRECTORY PODNET                     podnet's command, by the path of its executable
 *
 * Commands (common.h has the protocol): create FIRST COUNT PORTS BASE, remove FIRST COUNT
 */
#include "common.h"
#include <spawn.h>
#include <sys/wait.h>

enum { MAX_PODS = 70000, TEXT = 64 * 1024 };

static const char *kind, *directory, *variant;
static int home;

struct pod {
	int ports, base;
	char *result;
};
static struct pod pods[MAX_PODS];

static char id[32], pin[256];
static void name_pod(int number)
{
	if (number < 0 || number >= MAX_PODS) die("pod %d", number);
	snprintf(id, sizeof id, "pod%d", number);
	snprintf(pin, sizeof pin, "%s/%s", directory, id);
}

/* Runs a program to its end with this text on its standard input; what it prints goes to `output`. */
static void run(char *const *command, char *const *environment, const char *input, char output[TEXT])
{
	int in[2], out[2], status;
	size_t length = strlen(input), got = 0;
	pid_t child;
	posix_spawn_file_actions_t files;
	/* A pipe takes 64 KB without a reader. */
	if (length >= TEXT || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) die("pipe");
	if (write(in[1], input, length) != (ssize_t)length) die("write");
	close(in[1]);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in[0], 0);
	posix_spawn_file_actions_adddup2(&files, out[1], 1);
	errno = posix_spawn(&child, command[0], &files, NULL, command, environment);
	if (errno) die("%s", command[0]);
	posix_spawn_file_actions_destroy(&files);
	close(in[0]);
	close(out[1]);
	for (ssize_t size; (size = read(out[0], output + got, TEXT - 1 - got)) > 0;) got += size;
	output[got] = 0;
	close(out[0]);
	if (waitpid(child, &status, 0) < 0) die("wait");
	if (status) {
		fprintf(stderr, "%s: status %x: %s\nwith %s\n", command[0], status, output, input);
		exit(1);
	}
}

static void make_namespace(void)
{
	int namespace = enter_new_namespace();
	if (setns(home, CLONE_NEWNET)) die("home");
	pin_namespace(namespace, pin);
	close(namespace);
}

/* The port mappings as both CNI and netavark write them, each with its own names. */
static void mappings(char *to, const struct pod *p, const char *format)
{
	*to = 0;
	for (int i = 0; i < p->ports; i++) {
		if (i) *to++ = ',';
		to += sprintf(to, format, p->base + i, 80 + i);
	}
}

/* ---- CNI ---- */
static bool is_podnet(void) { return variant[0] == '/'; }

static void plugin(const char *verb, const char *name, const char *config, const char *previous, char output[TEXT])
{
	static char path[256], command[32], container[64], namespace[300], input[TEXT];
	char *const argv[] = { path, NULL };
	char *const environment[] = { command, container, namespace, "CNI_IFNAME=eth0", "CNI_PATH=/usr/lib/cni",
				      "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	snprintf(path, sizeof path, "%s%s", is_podnet() ? "" : "/usr/lib/cni/", is_podnet() ? variant : name);
	snprintf(command, sizeof command, "CNI_COMMAND=%s", verb);
	snprintf(container, sizeof container, "CNI_CONTAINERID=%s", id);
	snprintf(namespace, sizeof namespace, "CNI_NETNS=%s", pin);
	snprintf(input, sizeof input, "{\"cniVersion\":\"1.0.0\",\"name\":\"bench\",\"type\":\"%s\",%s%s%s}", name, config,
		 previous ? ",\"prevResult\":" : "", previous ? previous : "");
	run(argv, environment, input, output);
}
static const char *interface_config(void)
{
	static char config[1024];
	bool dual = !strcmp(variant, "bridge-dual");
	snprintf(config, sizeof config,
		 "%s\"ipMasq\":true,\"ipam\":{\"type\":\"host-local\",\"dataDir\":\"%s\","
		 "\"ranges\":[[{\"subnet\":\"10.88.0.0/16\"}]%s],\"routes\":[{\"dst\":\"0.0.0.0/0\"}%s]}",
		 strcmp(variant, "ptp") ? "\"bridge\":\"cni0\",\"isGateway\":true,\"hairpinMode\":true," : "", directory,
		 dual ? ",[{\"subnet\":\"fd00:88::/64\"}]" : "", dual ? ",{\"dst\":\"::/0\"}" : "");
	return config;
}
static const char *portmap_config(const struct pod *p)
{
	static char config[TEXT];
	char *end = config + sprintf(config, "\"capabilities\":{\"portMappings\":true},\"runtimeConfig\":{\"portMappings\":[");
	mappings(end, p, "{\"hostPort\":%d,\"containerPort\":%d,\"protocol\":\"tcp\"}");
	strcat(end, "]}");
	return config;
}
static const char *interface_plugin(void) { return strcmp(variant, "ptp") ? "bridge" : "ptp"; }

/* One plugin does it all. */
static const char *podnet_config(const struct pod *p)
{
	static char config[TEXT];
	int length = sprintf(config, "\"node\":\"cni\",\"stateDir\":\"%s/state\",\"podCidrs\":[\"10.64.0.0/10\",\"fd00:64::/64\"],",
			     directory);
	strcpy(config + length, portmap_config(p));
	return config;
}

static void cni_create(struct pod *p)
{
	static char result[TEXT], output[TEXT];
	make_namespace();
	if (is_podnet()) {
		plugin("ADD", "podnet", podnet_config(p), NULL, result);
		p->result = strdup(result);
		return;
	}
	plugin("ADD", interface_plugin(), interface_config(), NULL, result);
	plugin("ADD", "portmap", portmap_config(p), result, output);
	p->result = strdup(result);
}
static void cni_remove(struct pod *p)
{
	static char output[TEXT];
	if (is_podnet()) {
		plugin("DEL", "podnet", podnet_config(p), p->result, output);
	} else {
		plugin("DEL", "portmap", portmap_config(p), p->result, output);
		plugin("DEL", interface_plugin(), interface_config(), p->result, output);
	}
	unpin_namespace(pin);
	free(p->result);
}

/* ---- netavark ---- */
static void netavark(const char *verb, int number, const struct pod *p)
{
	static char ports[TEXT / 2], input[TEXT], output[TEXT];
	char *const command[] = { "/usr/lib/podman/netavark", "--config", (char *)directory, (char *)verb, pin, NULL };
	char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	mappings(ports, p, "{\"host_ip\":\"\",\"host_port\":%d,\"container_port\":%d,\"protocol\":\"tcp\",\"range\":1}");
	snprintf(input, sizeof input,
		 "{\"container_id\":\"%s\",\"container_name\":\"%s\",\"port_mappings\":[%s],"
		 "\"networks\":{\"bench\":{\"static_ips\":[\"10.88.%d.%d\"],\"interface_name\":\"eth0\"}},"
		 "\"network_info\":{\"bench\":{\"name\":\"bench\",\"id\":\"%064d\",\"driver\":\"bridge\","
		 "\"network_interface\":\"podman1\",\"subnets\":[{\"subnet\":\"10.88.0.0/16\",\"gateway\":\"10.88.0.1\"}],"
		 "\"ipv6_enabled\":false,\"internal\":false,\"dns_enabled\":false,\"ipam_options\":{\"driver\":\"host-local\"}}}}",
		 id, id, ports, (number + 2) >> 8 & 255, (number + 2) & 255, 1);
	run(command, environment, input, output);
}
static void netavark_create(int number, struct pod *p)
{
	make_namespace();
	netavark("setup", number, p);
}
static void netavark_remove(int number, struct pod *p)
{
	netavark("teardown", number, p);
	unpin_namespace(pin);
}

/* ---- a shell script ---- */
static void script(const char *verb, int number, const struct pod *p)
{
	static char output[TEXT];
	char name[16], base[16], count[16];
	char *const command[] = { "/bin/sh", (char *)variant, (char *)verb, name, base, count, NULL };
	snprintf(name, sizeof name, "%d", number);
	snprintf(base, sizeof base, "%d", p->base);
	snprintf(count, sizeof count, "%d", p->ports);
	run(command, environ, "", output);
}

/* ---- podnet's command ---- */
static void command(const char *verb, const char *name, const char *option, const char *value)
{
	static char output[TEXT];
	char *const words[] = { (char *)variant, (char *)verb, "--node", "command", "--state-dir", (char *)directory,
				(char *)name, (char *)option, (char *)value, NULL };
	run(words, environ, "", output);
}
static void command_create(const struct pod *p)
{
	char ports[64];
	snprintf(ports, sizeof ports, "%d-%d:80-%d", p->base, p->base + p->ports - 1, 79 + p->ports);
	command("create", id, p->ports ? "--publish" : NULL, ports);
}

static void create(int number, int ports, int base)
{
	name_pod(number);
	struct pod *p = &pods[number];
	*p = (struct pod){ .ports = ports, .base = base };
	if (!strcmp(kind, "cni")) cni_create(p);
	else if (!strcmp(kind, "netavark")) netavark_create(number, p);
	else if (!strcmp(kind, "command")) command_create(p);
	else script("add", number, p);
}
static void destroy(int number)
{
	name_pod(number);
	struct pod *p = &pods[number];
	if (!strcmp(kind, "cni")) cni_remove(p);
	else if (!strcmp(kind, "netavark")) netavark_remove(number, p);
	else if (!strcmp(kind, "command")) command("rm", id, NULL, NULL);
	else script("remove", number, p);
}

int main(int argc, char **argv)
{
	if (argc < 3) die("usage: peer cni|netavark|script|command DIRECTORY [VARIANT]");
	kind = argv[1];
	directory = argv[2];
	variant = argc > 3 ? argv[3] : "";
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	set_sysctl("/proc/sys/net/ipv4/ip_forward");
	if (!strcmp(kind, "script")) {
		static char output[TEXT];
		char *const command[] = { "/bin/sh", (char *)variant, "node", NULL };
		run(command, environ, "", output);
	}
	if (!strcmp(kind, "command")) {
		static char output[TEXT];
		char *const words[] = { (char *)variant, "node", "up", "--node", "command", "--state-dir", (char *)directory,
					"--pod-cidr", "10.64.0.0/10", "--pod-cidr", "fd00:64::/64", NULL };
		run(words, environ, "", output);
	}
	char line[256], verb[32];
	while (fgets(line, sizeof line, stdin)) {
		int first = 0, count = 0, ports = 0, base = 0;
		sscanf(line, "%31s %d %d %d %d", verb, &first, &count, &ports, &base);
		for (int i = 0; i < count; i++) {
			lap_start();
			if (!strcmp(verb, "create")) create(first + i, ports, base + i * ports);
			else if (!strcmp(verb, "remove")) destroy(first + i);
			else die("unknown command %s", verb);
			lap_end();
		}
		answer();
	}
	return 0;
}
