/**
 * An image for containers, made of busybox on the spot: an OCI layout in a tar archive, as runtimes import it.
 *
 * @module
 */
import type { Machine } from "./machine.ts";

/** Its name; also what pods' first containers are made from. */
export const IMAGE = "localhost/busybox:1";

/** Where the archive is on a machine. */
export const IMAGE_ARCHIVE = "/run/image.tar";

/** Programs that containers have. */
const PROGRAMS = [
  "cat",
  "hostname",
  "httpd",
  "ip",
  "nc",
  "sh",
  "sleep",
  "wget",
];

const ARCHITECTURES = { x86_64: "amd64", aarch64: "arm64" } as const;

/** Writes the archive on a machine. */
export async function writeImage(machine: Machine): Promise<void> {
  const links = PROGRAMS.map((name) => `ln -s busybox bin/${name}`);
  const layout = "/run/image";
  await machine.run(
    "sh",
    "-ec",
    `mkdir -p ${layout}/blobs/sha256 /run/layer
    cd /run/layer
    mkdir bin dev etc proc sys tmp
    cp /bin/busybox bin/
    ${links.join("\n")}
    tar -cf /run/layer.tar .`,
  );
  const blob = async (bytes: Uint8Array<ArrayBuffer>, mediaType: string) => {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))
      .toHex();
    await Deno.writeFile(machine.path(`${layout}/blobs/sha256/${hash}`), bytes);
    const type = `application/vnd.oci.image.${mediaType}`;
    return { mediaType: type, digest: `sha256:${hash}`, size: bytes.length };
  };
  const layer = await blob(
    await Deno.readFile(machine.path("/run/layer.tar")),
    "layer.v1.tar",
  );
  const config = await blob(
    json({
      architecture: ARCHITECTURES[Deno.build.arch],
      os: "linux",
      // A pod's first container only waits.
      config: { Cmd: ["/bin/sleep", "1000000"], Env: ["PATH=/bin"] },
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    }),
    "config.v1+json",
  );
  const manifest = await blob(
    json({ schemaVersion: 2, config, layers: [layer] }),
    "manifest.v1+json",
  );
  const annotations = {
    "io.containerd.image.name": IMAGE,
    "org.opencontainers.image.ref.name": IMAGE,
  };
  const index = {
    schemaVersion: 2,
    manifests: [{ ...manifest, annotations }],
  };
  await machine.write(`${layout}/index.json`, JSON.stringify(index));
  await machine.write(
    `${layout}/oci-layout`,
    JSON.stringify({ imageLayoutVersion: "1.0.0" }),
  );
  await machine.run("tar", "-C", layout, "-cf", IMAGE_ARCHIVE, ".");
}

function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}
