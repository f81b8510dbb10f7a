"""A root with files, and the guard in it."""

from pathlib import Path

from property import promises

from dnsguard import config
from dnsguard.guard import Guard
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event

POISON = b"search cluster.local corp.example\nnameserver 169.254.25.10\n"
REAL = b"nameserver 10.0.0.2\n"


class Machine:
    """A root with files, and the guard in it."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.paths.resolv_conf.parent.mkdir(parents=True)
        self.told = list[Event]()
        self.policy = config.defaults().policy

    def backup(self, content: bytes = REAL) -> None:
        self.paths.resolv_conf.with_name("resolv.conf.bak").write_bytes(content)

    def write(self, content: bytes) -> None:
        self.paths.resolv_conf.write_bytes(content)

    def start(self) -> Guard:
        """Start the guard as the daemon does, up to the first look."""
        guard = Guard(self.paths, self.policy, self.told.append)
        guard.surroundings.set_addresses(frozenset(), None)
        self.turn(guard)
        return guard

    def turn(self, guard: Guard) -> None:
        guard.refresh()
        guard.look()
        guard.apply_deferred()

    @property
    def content(self) -> bytes:
        return self.paths.resolv_conf.read_bytes()

    @property
    def servers(self) -> list[str]:
        return [str(address) for address in promises.used(self.content)]

    def names(self) -> list[str]:
        return sorted(line.name for line in self.told)
