/**
 * How the demo looks at things: over the network, and at what the kernel lists.
 *
 * @module
 */
import type { Container } from "../../examples/tiny_runtime.ts";
import type { LabNode } from "../../src/testing/mod.ts";

/** Whatever opens connections: a pod, or a machine of the lab. */
export interface Client {
  connect(
    options: { hostname: string; port: number },
  ): Promise<Deno.TcpConn>;
}

/** An address with a port as URLs have them. */
export function authority(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** Asks a server by HTTP; returns its answer, or that there is none. */
export function ask(
  from: Client | Container,
  hostname: string,
  port: number,
): Promise<string> {
  return "exec" in from
    ? askInside(from, hostname, port)
    : askOverConnection(from, hostname, port);
}

async function askOverConnection(
  client: Client,
  hostname: string,
  port: number,
): Promise<string> {
  try {
    using connection = await client.connect({ hostname, port });
    const host = authority(hostname, port);
    const request = `GET / HTTP/1.0\r\nhost: ${host}\r\n\r\n`;
    await connection.write(new TextEncoder().encode(request));
    const response = await new Response(connection.readable).text();
    return response.slice(response.indexOf("\r\n\r\n") + 4);
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return "refused";
    throw error;
  }
}

async function askInside(
  container: Container,
  hostname: string,
  port: number,
): Promise<string> {
  const url = `http://${authority(hostname, port)}/`;
  const script = `console.log(await (await fetch("${url}")).text())`;
  const { output } = await container.exec("deno", "eval", script);
  return output.trim();
}

/** Number of links of a machine. */
export function links(machine: LabNode): number {
  const table = machine.namespace.run(() =>
    Deno.readTextFileSync("/proc/thread-self/net/dev")
  );
  return table.match(/^\s*\S+:/gm)?.length ?? 0;
}

/** Number of network namespaces that are mounted somewhere. */
export function mountedNamespaces(): number {
  const table = Deno.readTextFileSync("/proc/self/mountinfo");
  return table.match(/ - nsfs /g)?.length ?? 0;
}

/** Number of processes that run the demo's server. */
export function serverProcesses(): number {
  const pids = [...Deno.readDirSync("/proc")].map(({ name }) => name)
    .filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    try {
      const words = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      return words[0] === "deno" && words.includes("/server.ts");
    } catch (error) {
      // It ended a moment ago.
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }).length;
}
