"""A pseudoterminal of some size, and a command of dnsguard's on it."""

import codecs
import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping
from fcntl import ioctl
from struct import pack
from termios import TIOCSWINSZ

from lab.guard import Node, environment


class Terminal:
    """A pseudoterminal of some width, and the program on it."""

    def __init__(
        self,
        guard: Node,
        columns: int,
        *command: str,
        rows: int = 50,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, TIOCSWINSZ, pack("4H", rows, columns, 0, 0))
        env = environment() | {"TERM": "xterm", **(environ or {})}
        env.pop("COLUMNS", None)
        with guard.where.inside():
            self.process = subprocess.Popen(
                guard.command(*command),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=env,
                start_new_session=True,
            )
        os.close(slave)
        self.shown = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self) -> str:
        """Return what is shown until the program ends."""
        while self._more(5.0):
            pass
        self.process.wait(5)
        os.close(self.master)
        return self.shown.replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        """Wait until this is shown."""
        deadline = time.monotonic() + 10
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self._more(1.0)

    def type(self, keys: bytes) -> None:
        """Have these keys pressed."""
        os.write(self.master, keys)

    def _more(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # EIO: the program has closed it
            return False
        self.shown += self._decoder.decode(piece)
        return bool(piece)
