/**
 * Brings `lo` up in the network namespace of this process, by the ioctl that
 * `ifconfig` uses: no program is needed, nor the library under test.
 *
 * @module
 */
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
});

// struct ifreq: the name in 16 bytes, then the union, here short ifr_flags.
const request = new Uint8Array(40);
request.set(new TextEncoder().encode("lo"));
new DataView(request.buffer).setInt16(16, IFF_UP, true);

const fd = libc.symbols.socket(AF_INET, SOCK_DGRAM, 0);
if (libc.symbols.ioctl(fd, BigInt(SIOCSIFFLAGS), request) !== 0) {
  console.error("cannot bring lo up in the private network namespace");
  Deno.exit(1);
}
