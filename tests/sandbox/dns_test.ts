import { assertEquals } from "@std/assert";
import { dnsFiles, readResolvConf } from "../../src/sandbox/records/dns.ts";
import type { DnsSpec } from "../../src/spec/sandbox_spec.ts";
import { parse } from "../spec/cases.ts";

const spec = (dns: DnsSpec = {}) => parse({ name: "web_0", dns });

const NODE = readResolvConf(`# made by hand
search corp.example lab.example
domain old.example
search  example.net	example.org
nameserver 127.0.0.53
nameserver ::1
nameserver 192.0.2.53
nameserver fe80::1%eth0
options edns0
options trust-ad
sortlist 10.0.0.0
`);

Deno.test("dnsFiles() writes resolv.conf of the spec alone when the spec says everything (DN1)", () => {
  const { resolvConf } = dnsFiles(
    spec({
      nameservers: ["10.96.0.10", "FD00::A"],
      searches: ["default.svc.cluster.local", "svc.cluster.local"],
      options: ["ndots:5", "edns0"],
    }),
    [],
    NODE,
  );
  assertEquals(
    resolvConf,
    "nameserver 10.96.0.10\n" +
      "nameserver fd00::a\n" +
      "search default.svc.cluster.local svc.cluster.local\n" +
      "options ndots:5 edns0\n",
  );
});

Deno.test("dnsFiles() takes what the spec leaves out from the node, but for resolvers on the node's loopback", () => {
  assertEquals(
    dnsFiles(spec(), [], NODE).resolvConf,
    "nameserver 192.0.2.53\n" +
      "nameserver fe80::1%eth0\n" +
      "search example.net example.org\n" +
      "options edns0 trust-ad\n",
  );
  assertEquals(
    dnsFiles(spec({ nameservers: ["9.9.9.9"], options: [] }), [], NODE)
      .resolvConf,
    "nameserver 9.9.9.9\nsearch example.net example.org\n",
  );
});

Deno.test("dnsFiles() writes an empty resolv.conf when nobody names a resolver", () => {
  assertEquals(dnsFiles(spec({ searches: [] }), []).resolvConf, "");
});

Deno.test("dnsFiles() writes localhost, the pod's addresses with its host name, and aliases into hosts (DN2)", () => {
  const { hosts } = dnsFiles(
    spec({
      hostAliases: [{ ip: "192.0.2.7", hostnames: ["db", "db.example"] }],
    }),
    ["10.244.1.7", "fd00::7"],
  );
  assertEquals(
    hosts,
    "127.0.0.1\tlocalhost\n" +
      "::1\tlocalhost ip6-localhost ip6-loopback\n" +
      "ff02::1\tip6-allnodes\n" +
      "ff02::2\tip6-allrouters\n" +
      "10.244.1.7\tweb-0\n" +
      "fd00::7\tweb-0\n" +
      "192.0.2.7\tdb db.example\n",
  );
});
