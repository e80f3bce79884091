/**
 * What the demo's containers run: it tells who it is and who is calling.
 *
 *     deno run --allow-net server.ts NAME ADDRESS PORT
 *
 * @module
 */
const [name = "", hostname = "", port = ""] = Deno.args;

Deno.serve({ hostname, port: Number(port) }, (_request, { remoteAddr }) => {
  // What an IPv4 client is on a socket of both families.
  const caller = remoteAddr.hostname.replace("::ffff:", "");
  return new Response(`${name} here, you are ${caller}`);
});
