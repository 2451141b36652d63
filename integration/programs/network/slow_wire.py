"""A wire between two network namespaces that takes its time: NAMESPACE NAMESPACE MILLISECONDS.

Each has a device `slow` then, and what goes into one comes out of the other so much later. Says `ready`; ends
with its standard input.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # include/uapi/linux/if_tun.h
CLONE_NEWNET = 0x40000000


def device(namespace: str) -> int:
    """Make the device there; return its descriptor."""
    with open(f"/run/netns/{namespace}", "rb") as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    made = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(made, TUNSETIFF, struct.pack("16sH22x", b"slow", IFF_TUN | IFF_NO_PI))
    return made


def main() -> None:
    first, second = device(sys.argv[1]), device(sys.argv[2])
    delay, order = int(sys.argv[3]) / 1000, 0
    other = {first: second, second: first}
    under_way: list[tuple[float, int, int, bytes]] = []
    print("ready", flush=True)
    while True:
        wait = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
        ready, _, _ = select.select([first, second, sys.stdin], [], [], wait)
        if sys.stdin in ready and not sys.stdin.readline():
            return
        for one in set(ready) & set(other):
            order += 1
            heapq.heappush(under_way, (time.monotonic() + delay, order, other[one], os.read(one, 65536)))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(under_way)
            os.write(to, packet)


if __name__ == "__main__":
    main()
