"""Answers each SYN for a port with one that has crossed it, and then takes the connection back by a reset.

crossing_syn.py ADDRESS PORT. The kernel must not answer for that port: what this sends is marked with MARK.
"""

from __future__ import annotations

import socket
import struct
import sys

MARK = 7
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
FIRST = 1_000_000
_PORTS = struct.Struct(">HH")


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(here: bytes, there: bytes, ports: tuple[int, int], sequence: int, flags: int) -> bytes:
    def header(check: int) -> bytes:
        return struct.pack(">HHIIBBHHH", *ports, sequence, 0, 5 << 4, flags, 65535, check, 0)

    around = here + there + struct.pack(">HH", socket.IPPROTO_TCP, 20)
    return header(checksum(around + header(0)))


def main() -> None:
    address, port = sys.argv[1], int(sys.argv[2])
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    raw.bind((address, 0))
    print("ready", flush=True)
    while True:
        packet, (peer, _) = raw.recvfrom(2048)
        tcp = packet[(packet[0] & 15) * 4 :]
        asking, asked = _PORTS.unpack_from(tcp)
        if asked != port or not tcp[13] & SYN:
            continue
        # The peer answers a SYN with a SYN of its own and an ACK: it is in SYN_RECV then.
        sequence, flags = (FIRST + 1, RST) if tcp[13] & ACK else (FIRST, SYN)
        ends = socket.inet_aton(address), socket.inet_aton(peer)
        raw.sendto(segment(*ends, (port, asking), sequence, flags), (peer, 0))


if __name__ == "__main__":
    main()
