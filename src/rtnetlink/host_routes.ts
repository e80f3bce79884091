/**
 * The addresses that have routes of their own, read fast: a node may have tens of thousands.
 *
 * @module
 */
import type { IpFamily } from "../net/ip.ts";
import { HOST_LITTLE_ENDIAN } from "../netlink/bytes.ts";
import { type Codec, CodecError } from "../netlink/codec.ts";
import type { Request } from "../netlink/message.ts";
import { RT_TABLE_MAIN } from "./constants.ts";
import { dumpRoutes } from "./route.ts";

/** Length of `struct rtmsg`. */
const SIZE_OF_RTMSG = 12;
const RTA_DST = 1;

/**
 * Reads nothing of a route but where it leads, a tenth of the work of a whole route: the address as a number if the route
 * is for one address alone, else undefined.
 */
const hostDestination: Codec<bigint | undefined> = {
  type: "host destination",
  read({ view }, start, end) {
    if (end - start < SIZE_OF_RTMSG) throw new CodecError("a route too short");
    const bits = view.getUint8(start + 1);
    let at = start + SIZE_OF_RTMSG;
    while (end - at >= 4) {
      const size = view.getUint16(at, HOST_LITTLE_ENDIAN);
      if (size < 4 || size > end - at) {
        throw new CodecError(`attribute length ${size} does not fit`);
      }
      if (view.getUint16(at + 2, HOST_LITTLE_ENDIAN) === RTA_DST) {
        if (size - 4 !== bits / 8) return undefined;
        if (bits === 32) return BigInt(view.getUint32(at + 4));
        if (bits !== 128) return undefined;
        return view.getBigUint64(at + 4) << 64n | view.getBigUint64(at + 12);
      }
      at += (size + 3) & ~3;
    }
    return undefined;
  },
  write() {
    throw new CodecError("routes are only read in this way");
  },
};

/** Asks for the destinations of all routes of the main table; those of single addresses are numbers. */
export function dumpHostDestinations(
  family: IpFamily,
): Request<unknown, bigint | undefined> {
  const dump: Request<unknown, unknown> = dumpRoutes({
    family,
    table: RT_TABLE_MAIN,
  });
  return { ...dump, reply: hostDestination };
}
