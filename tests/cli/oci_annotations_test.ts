/** Annotations of containers are options of `podnet create` by other means. */
import { assertEquals, assertRejects } from "@std/assert";
import { describe } from "../../src/cli/errors.ts";
import { readAnnotations } from "../../src/cli/oci_annotations.ts";
import { sandboxOptions, sandboxSpec } from "../../src/cli/sandbox_options.ts";
import { parseOptions } from "../../src/cli/options.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { parseSandboxSpec } from "../../src/spec/parse.ts";

Deno.test("readAnnotations() makes the spec that the options make", async () => {
  const { spec } = await readAnnotations({
    "io.podnet.name": "web-0",
    "io.podnet.namespace": "shop",
    "io.podnet.publish": "8080:80,  5353:53/udp",
    "io.podnet.ip": "10.244.1.7\nfd00::7",
    "io.podnet.label.app.kubernetes.io/name": "a=b c",
    "io.podnet.mac": "02:00:5e:10:00:01",
    "io.podnet.mtu": "1400",
    "io.podnet.without-default-route": "true",
    "io.podnet.route": "192.0.2.0/24",
    "io.podnet.ingress-bandwidth": "10M:1M",
    "io.podnet.sysctl.net.core.somaxconn": "77",
    "io.podnet.hostname": "web-0",
    "io.podnet.dns": "10.96.0.10",
    "io.podnet.dns-search": "a.example b.example",
    "io.podnet.dns-option": "ndots:5",
    "io.kubernetes.pod.name": "something else",
    "io.podnetwork": "too",
  }, "c1");
  const { options } = parseOptions(
    sandboxOptions,
    [
      ...["--namespace", "shop", "-p", "8080:80", "-p", "5353:53/udp"],
      ...["--ip", "10.244.1.7", "--ip", "fd00::7"],
      ...["--label", "app.kubernetes.io/name=a=b c"],
      ...["--mac", "02:00:5e:10:00:01", "--mtu", "1400"],
      ...["--without-default-route", "--route", "192.0.2.0/24"],
      ...["--ingress-bandwidth", "10M:1M"],
      ...["--sysctl", "net.core.somaxconn=77"],
      ...["--hostname", "web-0", "--dns", "10.96.0.10"],
      ...["--dns-search", "a.example", "--dns-search", "b.example"],
      ...["--dns-option", "ndots:5"],
    ],
    "podnet create",
  );
  assertEquals(spec, await sandboxSpec("web-0", options));
  assertEquals((await readAnnotations({}, "c1")).spec.name, "c1");
});

Deno.test("readAnnotations() refuses what is unknown, wrong, or not for whoever starts a container", async () => {
  for (
    const [annotation, value, said] of [
      ["publsh", "80:80", 'did you mean "publish"?'],
      ["label", "a=b", "is unknown"],
      ["unsafe-sysctl", "net.x", "is unknown"],
      ["interface", "net1=device:eth0", "is unknown"],
      ["pod-netns", "/run/netns/x", "is unknown"],
      ["host-network", "true", "is unknown"],
      ["pod-cidr", "10.0.0.0/8", "is unknown"],
      ["toString", "x", "is unknown"],
      ["publish", "80", "io.podnet.publish: "],
      ["mtu", "big", 'io.podnet.mtu "big" is not a whole number'],
      ["ingress-bandwidth", "fast", "io.podnet.ingress-bandwidth: "],
      ["without-default-route", "yes", "write true or false"],
      ["label.", "x", "io.podnet.label "],
    ] as const
  ) {
    const error = await assertRejects(
      () => readAnnotations({ [`io.podnet.${annotation}`]: value }, "c1"),
      UsageError,
    );
    assertEquals(error.message.includes(said), true, error.message);
  }
});

Deno.test("problems of a spec are told by the annotation", async () => {
  const { spec, given } = await readAnnotations({
    "io.podnet.publish": "8080:80 0:80",
    "io.podnet.mac": "",
    "io.podnet.ip": "10.9.9.9",
  }, "c1");
  const podCidrs = [Cidr.parse("10.244.1.0/24")];
  const error = await assertRejects(
    // deno-lint-ignore require-await
    async () => parseSandboxSpec(spec, { podCidrs }),
    Error,
  );
  const { lines, exitCode } = await describe(error, given);
  assertEquals(exitCode, 2);
  assertEquals(lines.map((line) => line.split(":")[0]).sort(), [
    "io.podnet.ip 10.9.9.9",
    "io.podnet.mac",
    "io.podnet.publish 0",
  ]);
});
