/** Multicasts of the kernel. */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { attrs } from "../../src/netlink/attrs.ts";
import { bytes, CodecError, converted, u8 } from "../../src/netlink/codec.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { body } from "../../src/netlink/struct.ts";
import { Subscription } from "../../src/netlink/subscription.ts";
import { RTM_NEWLINK, RTNLGRP_LINK } from "../../src/rtnetlink/constants.ts";
import { ifinfomsg } from "../../src/rtnetlink/tables.ts";
import { link, setLink } from "../../src/rtnetlink/link.ts";
import { inNewNamespace } from "./isolated.ts";
import { PATIENCE_MS } from "../support/patience.ts";

const aliases = converted(link, ({ alias }) => alias ?? "");

/** A connection to a namespace whose lo is up: changes of a link that is down are not multicast. */
function connect(): Connection {
  const connection = Connection.open(NETLINK_ROUTE);
  connection.execute([setLink({ index: 1, up: true })]);
  return connection;
}

/** A connection and a subscription to the aliases of links, both in one new namespace. */
function open(receiveBufferBytes?: number) {
  return inNewNamespace(() => ({
    connection: connect(),
    subscription: Subscription.open({
      protocol: NETLINK_ROUTE,
      groups: [RTNLGRP_LINK],
      codecs: new Map([[RTM_NEWLINK, aliases]]),
      ...(receiveBufferBytes === undefined ? {} : { receiveBufferBytes }),
    }),
  }));
}

const alias = (text: string) => setLink({ index: 1, alias: text });

Deno.test("Subscription yields what happened since it was opened, in order", async () => {
  const { connection, subscription } = open();
  using _connection = connection;
  await using _subscription = subscription;
  connection.execute([alias("one"), alias("two")]);
  const seen: string[] = [];
  for await (const event of subscription) {
    assert(!event.overflow);
    assertEquals(event.type, RTM_NEWLINK);
    seen.push(event.value);
    if (seen.length === 1) connection.execute([alias("three")]);
    if (seen.length === 3) break;
  }
  assertEquals(seen, ["one", "two", "three"]);
});

Deno.test("Subscription leaves the event loop free while it waits", async () => {
  const { connection, subscription } = open();
  using _connection = connection;
  await using _subscription = subscription;
  const waiting = subscription.next();
  let ticks = 0;
  for (; ticks < 5; ticks++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  connection.execute([alias("late")]);
  assertEquals(await waiting, {
    done: false,
    value: { overflow: false, type: RTM_NEWLINK, value: "late" },
  });
});

Deno.test("Subscription says that it has lost something when the buffer is full", async () => {
  const { connection, subscription } = open(4096);
  using _connection = connection;
  await using _subscription = subscription;
  connection.execute(Array.from({ length: 200 }, (_, i) => alias(`a${i}`)));
  let before = 0;
  for await (const event of subscription) {
    if (event.overflow) break;
    before++;
  }
  assert(before < 200, `${before} events fit into the smallest buffer`);
});

Deno.test("Subscription goes on after an overflow", async () => {
  const { connection, subscription } = open(4096);
  using _connection = connection;
  await using _subscription = subscription;
  connection.execute(Array.from({ length: 200 }, (_, i) => alias(`a${i}`)));
  let overflows = 0;
  for await (const event of subscription) {
    if (event.overflow) overflows++;
    else if (event.value === "after") break;
    // It may be lost too, as long as the queue is full: that is another overflow then.
    if (overflows > 0) connection.execute([alias("after")]);
  }
  assert(overflows > 0);
});

Deno.test("Subscription reports a message that it cannot read as an overflow", async () => {
  const odd = attrs("IFLA_", { ifname: [3, u8], rest: [1, bytes] });
  const { connection, subscription } = inNewNamespace(() => ({
    connection: connect(),
    subscription: Subscription.open({
      protocol: NETLINK_ROUTE,
      groups: [RTNLGRP_LINK],
      codecs: new Map([[RTM_NEWLINK, odd]]),
    }),
  }));
  using _connection = connection;
  await using _subscription = subscription;
  connection.execute([alias("x")]);
  const { value } = await subscription.next();
  assert(value?.overflow);
  assertInstanceOf(value.cause, CodecError);
});

Deno.test("close() ends a pending wait", async () => {
  const { connection, subscription } = open();
  using _connection = connection;
  const waiting = Promise.all([subscription.next(), subscription.next()]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await subscription.close();
  assertEquals(await waiting, [
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
});

Deno.test("close() is done when no thread waits for the descriptors any more", async () => {
  const { connection, subscription } = open();
  using _connection = connection;
  let ended = false;
  const waiting = subscription.next().then(() => ended = true);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await subscription.close();
  // Only what has to run still, no time for a thread to wake up.
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assert(ended);
  await waiting;
});

Deno.test("Subscription yields values that later ones do not overwrite", async () => {
  const raw = attrs("IFLA_", { ifalias: [20, bytes] });
  const { connection, subscription } = inNewNamespace(() => ({
    connection: connect(),
    subscription: Subscription.open({
      protocol: NETLINK_ROUTE,
      groups: [RTNLGRP_LINK],
      codecs: new Map([[RTM_NEWLINK, body(ifinfomsg, raw)]]),
    }),
  }));
  using _connection = connection;
  await using _subscription = subscription;
  connection.execute([alias("one"), alias("two")]);
  const seen: (Uint8Array | undefined)[] = [];
  for await (const event of subscription) {
    assert(!event.overflow);
    seen.push(event.value.attrs.ifalias);
    if (seen.length === 2) break;
  }
  const decoder = new TextDecoder();
  assertEquals(seen.map((text) => decoder.decode(text)), ["one\0", "two\0"]);
});

Deno.test("close() can be called again, and next() is done afterwards", async () => {
  const { connection, subscription } = open();
  using _connection = connection;
  connection.execute([alias("not consumed")]);
  await subscription.close();
  await subscription.close();
  assertEquals(await subscription.next(), { done: true, value: undefined });
});

Deno.test("Subscription does not keep the process alive when it is closed", async () => {
  const script = new URL("fixtures/close_subscription.ts", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-ffi", "--no-check", script.pathname],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const { stdout, success } = await child.output();
  clearTimeout(timer);
  assert(success, "the process did not end by itself");
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)), { done: true });
});
