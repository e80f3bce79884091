/**
 * An authority, and certificates by it, made with openssl.
 *
 * @module
 */

/** Certificates in files, and as text. */
export interface Certificates extends AsyncDisposable {
  /** For the etcd. */
  readonly files: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
  };
  /** For its clients. */
  readonly client: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
  };
}

async function openssl(directory: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("/usr/bin/openssl", {
    args,
    cwd: directory,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Makes them; the etcd's is for one address. */
export async function certificates(address: string): Promise<Certificates> {
  const directory = await Deno.makeTempDir({ prefix: "pki-" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  await openssl(
    directory,
    ...["req", "-x509", "-nodes", ...key, "-days", "2"],
    ...["-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.crt"],
  );
  for (const name of ["server", "client"]) {
    const extensions = [
      "basicConstraints=CA:FALSE",
      "extendedKeyUsage=serverAuth,clientAuth",
      ...name === "server" ? [`subjectAltName=IP:${address}`] : [],
    ];
    await Deno.writeTextFile(
      `${directory}/${name}.ext`,
      extensions.join("\n"),
    );
    await openssl(
      directory,
      ...["req", "-nodes", ...key, "-subj", `/CN=${name}`],
      ...["-keyout", `${name}.key`, "-out", `${name}.csr`],
    );
    await openssl(
      directory,
      ...["x509", "-req", "-days", "2", "-in", `${name}.csr`],
      ...["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"],
      ...["-extfile", `${name}.ext`, "-out", `${name}.crt`],
    );
  }
  const read = (name: string) => Deno.readTextFile(`${directory}/${name}`);
  return {
    files: {
      ca: `${directory}/ca.crt`,
      cert: `${directory}/server.crt`,
      key: `${directory}/server.key`,
    },
    client: {
      ca: await read("ca.crt"),
      cert: await read("client.crt"),
      key: await read("client.key"),
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
