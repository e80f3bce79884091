import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isSandboxError, SandboxError } from "../../src/errors.ts";
import { connect, listen, serve, spawn } from "../../src/namespace/pod_io.ts";
import { createPod, leavesNothing } from "./helpers.ts";

/** Accepts one connection and answers it with a text. */
async function answer(listener: Deno.TcpListener, text: string): Promise<void> {
  using conn = await listener.accept();
  await conn.write(new TextEncoder().encode(text));
}

async function readAll(conn: Deno.Conn): Promise<string> {
  return await new Response(conn.readable).text();
}

Deno.test("listen() and connect() meet inside the namespace, and nowhere else", () =>
  leavesNothing(async () => {
    using pod = createPod();
    using other = createPod();
    using listener = listen(pod, { port: 0, hostname: "127.0.0.1" });
    const { port } = listener.addr;
    const [text] = await Promise.all([
      connect(pod, { hostname: "127.0.0.1", port }).then(readAll),
      answer(listener, "from the pod"),
    ]);
    assertEquals(text, "from the pod");
    await assertRejects(
      () => connect(other, { hostname: "127.0.0.1", port }),
      Deno.errors.ConnectionRefused,
    );
    // Refused or, where lo is down, unreachable.
    await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port }));
  }));

Deno.test("listen() takes a port in one namespace that is taken in another", () =>
  leavesNothing(async () => {
    using first = createPod();
    using second = createPod();
    using a = listen(first, { port: 8080 });
    using b = listen(second, { port: 8080 });
    assertThrows(() => listen(first, { port: 8080 }), Deno.errors.AddrInUse);
    const texts = await Promise.all([
      connect(first, { hostname: "127.0.0.1", port: 8080 }).then(readAll),
      connect(second, { hostname: "127.0.0.1", port: 8080 }).then(readAll),
      answer(a, "first"),
      answer(b, "second"),
    ]);
    assertEquals(texts.slice(0, 2), ["first", "second"]);
  }));

Deno.test("listen() answers both families when no address is given", () =>
  leavesNothing(async () => {
    using pod = createPod();
    using listener = listen(pod, { port: 80 });
    for (const hostname of ["127.0.0.1", "::1"]) {
      const [text] = await Promise.all([
        connect(pod, { hostname, port: 80 }).then(readAll),
        answer(listener, hostname),
      ]);
      assertEquals(text, hostname);
    }
  }));

Deno.test("connect() goes on inside while the program does other things", () =>
  leavesNothing(async () => {
    using pod = createPod();
    using listener = listen(pod, { port: 80 });
    const connecting = Array.from(
      { length: 20 },
      () => connect(pod, { hostname: "::1", port: 80 }),
    );
    for (let i = 0; i < 20; i++) (await listener.accept()).close();
    for (const conn of await Promise.all(connecting)) {
      assertEquals(conn.remoteAddr.hostname, "::1");
      conn.close();
    }
  }));

Deno.test("connect() rejects when nobody listens inside, although somebody does outside", () =>
  leavesNothing(async () => {
    using pod = createPod();
    using outside = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    await assertRejects(
      () => connect(pod, { hostname: "127.0.0.1", port: outside.addr.port }),
      Deno.errors.ConnectionRefused,
    );
  }));

Deno.test("connect() refuses names and everything else that is no IP literal", () =>
  leavesNothing(async () => {
    using pod = createPod();
    for (
      const hostname of [
        "localhost",
        "example.com",
        "",
        "127.1",
        "0177.0.0.1",
        "2130706433",
        "[::1]",
        "fe80::1%lo",
        "127.0.0.1 ",
      ]
    ) {
      const error = await assertRejects(
        () => connect(pod, { hostname, port: 80 }),
        SandboxError,
      );
      assert(isSandboxError(error, "InvalidSpec"));
      assertEquals(
        error.context.problems.map(({ path, received }) => [path, received]),
        [["hostname", hostname]],
      );
    }
    assertThrows(
      () => listen(pod, { port: 80, hostname: "localhost" }),
      SandboxError,
    );
    assertThrows(
      () =>
        serve(pod, { port: 80, hostname: "localhost" }, () => new Response()),
      SandboxError,
    );
  }));

Deno.test("connect(), listen() and serve() name every problem at once", () =>
  leavesNothing(async () => {
    using pod = createPod();
    for (const port of [0, -1, 65536, 1.5, NaN]) {
      const error = await assertRejects(
        () => connect(pod, { hostname: "name", port }),
        SandboxError,
      );
      assert(isSandboxError(error, "InvalidSpec"));
      assertEquals(error.context.problems.map(({ path }) => path), [
        "port",
        "hostname",
      ]);
    }
    assertThrows(() => listen(pod, { port: 65536 }), SandboxError);
    assertThrows(
      () => serve(pod, { port: -1 }, () => new Response()),
      SandboxError,
    );
  }));

Deno.test("serve() answers inside with a handler that runs outside, and prints nothing", () =>
  leavesNothing(async () => {
    using pod = createPod();
    const printed: unknown[] = [];
    const { log, error } = console;
    console.log = console.error = (...args: unknown[]) => printed.push(args);
    let text: string;
    try {
      await using server = serve(
        pod,
        { port: 80 },
        async (request, { remoteAddr }) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          return new Response(
            `${new URL(request.url).pathname} ${remoteAddr.hostname}`,
          );
        },
      );
      assertEquals(server.addr.port, 80);
      const conn = await connect(pod, { hostname: "::1", port: 80 });
      await conn.write(
        new TextEncoder().encode(
          "GET /path HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n",
        ),
      );
      text = await readAll(conn);
    } finally {
      Object.assign(console, { log, error });
    }
    assert(text.startsWith("HTTP/1.1 200 OK\r\n"), text);
    assert(text.endsWith("/path ::1"), text);
    assertEquals(printed, []);
  }));

Deno.test("serve() hands onListen on", () =>
  leavesNothing(async () => {
    using pod = createPod();
    const { promise, resolve } = Promise.withResolvers<Deno.NetAddr>();
    await using _server = serve(pod, {
      port: 0,
      hostname: "127.0.0.1",
      onListen: resolve,
    }, () => new Response());
    assertEquals((await promise).hostname, "127.0.0.1");
  }));

Deno.test("spawn() starts a process that is born inside, and whose children are", () =>
  leavesNothing(async () => {
    using pod = createPod();
    const script =
      "readlink /proc/self/ns/net; sh -c 'readlink /proc/self/ns/net'";
    const output = await spawn(pod, "sh", {
      args: ["-c", script],
      stdout: "piped",
    }).output();
    assertEquals(
      new TextDecoder().decode(output.stdout),
      `${pod.id}\n${pod.id}\n`,
    );
  }));

Deno.test("spawn() throws when there is no such command, and stays home", () =>
  leavesNothing(() => {
    using pod = createPod();
    assertThrows(
      () => spawn(pod, "no-such-command-anywhere"),
      Deno.errors.NotFound,
    );
  }));

Deno.test("spawn() gives the process no descriptor of the library", () =>
  leavesNothing(async () => {
    using pod = createPod();
    const output = await spawn(pod, "sh", {
      args: ["-c", "ls -l /proc/$$/fd"],
      stdout: "piped",
    }).output();
    const listing = new TextDecoder().decode(output.stdout);
    assert(!listing.includes("net:["), listing);
  }));
