/**
 * SCTP sockets that wait for associations, from `/proc/net/sctp/eps`. Asking sock_diag for them would make the kernel load
 * its SCTP module; this file is there only when it is loaded.
 *
 * @module
 */
import { IpAddress } from "../net/ip.ts";
import type { ListeningSocket } from "./listeners.ts";

/** TCP_LISTEN, as the kernel shows the state of an SCTP socket that listens (SCTP_SS_LISTENING, net/sctp/constants.h). */
const LISTENING = "10";

/**
 * One entry for each local address of a listening socket. Its lines: ENDPT, SOCK, STY, SST, HBKT, LPORT, UID, INODE and then
 * addresses (net/sctp/proc.c, sctp_eps_seq_show). Whether an IPv6 socket leaves IPv4 to others is not told; it counts as
 * one that does not. What is no such line is passed over.
 *
 * @param text contents of the file; empty when there is none
 */
export function parseSctpEndpoints(text: string): ListeningSocket[] {
  return text.split("\n").flatMap((line) => {
    const [, , , state, , port, uid, inode, ...addresses] = line.trim()
      .split(/\s+/);
    if (state !== LISTENING) return [];
    return addresses.map((address) => ({
      // The primary address of an association is marked so.
      address: IpAddress.parse(address.replace("*", "")),
      port: Number(port),
      v6Only: false,
      uid: Number(uid),
      inode: Number(inode),
    }));
  });
}
