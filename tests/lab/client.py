"""An application on the node: it resolves a name every 10 ms, with glibc's resolver.

``python3 -m lab.client NAME``. For each line on stdin it writes how many names it has
asked for since the last one, how many were lost and late, and the slowest's seconds.
"""

import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

BEAT = 0.01
LATE = 1.0
WORKERS = 400
"""Names under way at once: four seconds of them."""


class Tally:
    """What has become of the names."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = self._lost = self._late = 0
        self._worst = 0.0

    def resolve(self, name: str) -> None:
        began = time.monotonic()
        try:
            socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_DGRAM)
            is_lost = False
        except socket.gaierror:
            is_lost = True
        took = time.monotonic() - began
        with self._lock:
            self._asked += 1
            self._lost += is_lost
            self._late += took > LATE and not is_lost
            self._worst = max(self._worst, took)

    def take(self) -> str:
        with self._lock:
            told = f"{self._asked} {self._lost} {self._late} {self._worst:.4f}"
            self._asked = self._lost = self._late = 0
            self._worst = 0.0
        return told


def main() -> None:
    (name,) = sys.argv[1:]
    tally = Tally()
    under_way = set()
    with ThreadPoolExecutor(WORKERS) as pool:

        def beat() -> None:
            due = time.monotonic()
            while True:
                under_way.add(pool.submit(tally.resolve, name))
                for done in [one for one in under_way if one.done()]:
                    under_way.discard(done)
                due += BEAT
                time.sleep(max(0.0, due - time.monotonic()))

        threading.Thread(target=beat, daemon=True).start()
        for _ in sys.stdin:
            wait(list(under_way))
            print(tally.take(), flush=True)


if __name__ == "__main__":
    main()
