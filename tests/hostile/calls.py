"""System calls as strace(1) writes them, and what can go wrong with each.

strace injects an error instead of a call (``error=``) or kills the process on the way into
it (``signal=KILL``). It can't make a call short: ``retval=`` answers for the kernel without
writing a byte. That is short_io.c's work.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

KILL, SHORT = "KILL", "SHORT"

_LINE = re.compile(r"^(?:\d+ +)?([a-z_0-9]+)\((.*)$")
_DESCRIPTOR = re.compile(r"^(?:AT_FDCWD|\d+)<((?:[^<>]|<[^<>]*>)*)>(?:\(deleted\))?(?:, )?")
_PATH = re.compile(r'^"((?:[^"\\]|\\.)*)"')

_MAKES = frozenset(
    [
        "socket",
        "socketpair",
        "accept4",
        "pipe2",
        "epoll_create1",
        "inotify_init",
        "inotify_init1",
        "eventfd2",
        "dup3",
        "clone",
        "clone3",
    ]
)
_IN_TRAFFIC = frozenset(
    [
        "sendto",
        "sendmsg",
        "recvfrom",
        "recvmsg",
        "connect",
        "bind",
        "listen",
        "epoll_wait",
        "epoll_ctl",
        "setsockopt",
    ]
)
_ERRORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("clone clone3", ("EAGAIN",)),
    (" ".join(_MAKES), ("EMFILE",)),
    ("inotify_add_watch", ("ENOSPC",)),
    ("open openat openat2", ("EIO", "EMFILE", "EINTR")),
    ("close", ("EIO",)),
    ("write pwrite64 writev fsync fdatasync ftruncate fallocate", ("EIO", "ENOSPC", "EINTR")),
    ("rename renameat renameat2 link linkat mkdir mkdirat symlink", ("EIO", "ENOSPC")),
    (" ".join(["read pread64 readv fcntl flock", *_IN_TRAFFIC]), ("EIO", "EINTR")),
    ("fsetxattr setxattr", ("EIO", "ENOSPC")),
)
"""What is plausible for whom; EIO for all others."""
_NO_FAULT = frozenset(
    [
        "mmap",
        "munmap",
        "brk",
        "mprotect",
        "mremap",
        "madvise",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "futex",
        "exit",
        "exit_group",
        "getpid",
        "gettid",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "arch_prctl",
        "set_tid_address",
        "set_robust_list",
        "rseq",
        "execve",
        "prctl",
        "uname",
        "sysinfo",
        "sched_yield",
        "restart_syscall",
    ]
)
"""Memory, signals, identity: these have none of the errors that are tried, or no way on."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a run."""

    name: str
    place: str
    """The file or descriptor, below the root as ``/...``; numbers and random parts out."""
    nth: int
    """Among the calls of this name that its thread makes; strace's ``when=``."""
    creates: bool = False

    @property
    def signature(self) -> tuple[str, str]:
        return self.name, self.place

    def kinds(self) -> tuple[str, ...]:
        """Return what is plausible for it."""
        errors = next((two for names, two in _ERRORS if self.name in names.split()), ("EIO",))
        return (*errors, *(("ENOSPC",) if self.creates else ()), KILL)


@dataclass(frozen=True, slots=True)
class Fault:
    """One call, and what becomes of it."""

    call: Call
    kind: str

    def options(self) -> list[str]:
        """Return strace's."""
        name, nth = self.call.name, self.call.nth
        what = "signal=KILL" if self.kind == KILL else f"error={self.kind}"
        return ["-e", f"trace={name}", "-e", f"inject={name}:{what}:when={nth}"]

    def __str__(self) -> str:
        return f"{self.kind} at {self.call.name}({self.call.place}) #{self.call.nth}"


_CHANGES = frozenset(
    [
        "write",
        "pwrite64",
        "writev",
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "rmdir",
        "ftruncate",
        "fallocate",
        "fchmod",
        "chmod",
        "fchmodat",
        "fchown",
        "chown",
        "fchownat",
        "setxattr",
        "fsetxattr",
        "utimensat",
        "fsync",
        "fdatasync",
        "bind",
    ]
)


def urgency(fault: Fault) -> int:
    """Return how late a fault comes in its turn; what has little to tell comes last.

    A process that is killed on its way into a call that changes nothing leaves what it
    leaves when it is killed at the next one that does. And Python itself calls again
    after EINTR (PEP 475).
    """
    call = fault.call
    if fault.kind == KILL and not (call.name in _CHANGES or call.creates):
        return 4
    return {"EIO": 1, "EMFILE": 2, "EINTR": 3}.get(fault.kind, 0)


def parse(text: str, root: Path) -> Iterator[Call]:
    """Yield the calls of one thread, in their order."""
    counts: Counter[str] = Counter()
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            name, rest = match.groups()
            counts[name] += 1
            yield Call(name, _place(name, rest, str(root)), counts[name], "O_CREAT" in rest)


def hit(text: str, root: Path, fault: Fault) -> Call | None:
    """Return the call that was met, as its log tells; None if there was none."""
    calls = list(parse(text, root))
    if fault.kind == KILL:
        return calls[-1] if "killed by SIGKILL" in text and calls else None
    lines = [line for line in text.splitlines() if _LINE.match(line)]
    met = (call for call, line in zip(calls, lines, strict=True) if "(INJECTED)" in line)
    return next(met, None)


_OWN = re.compile(
    r"/NODE/(?:etc(?:/\.?resolv\.conf[^/]*|/dnsguard.*)?|(?:var/lib|run)(?:/dnsguard.*)?)"
)
_TRAFFIC = ("socket:", "anon_inode:", "pipe:", "UNIX", "NETLINK", "UDP", "TCP")


class Circle(IntEnum):
    """How near a call is to what is promised."""

    OWN = 0  # resolv.conf, and what dnsguard keeps; in their directories
    NODE = 1  # the node's other files, sockets, descriptors, threads
    INTERPRETER = 2  # Python's own, most of all its imports


def circle(call: Call) -> Circle:
    if _OWN.fullmatch(call.place):
        return Circle.OWN
    is_made = call.name in _MAKES
    if call.place.startswith(("/NODE", "/ABOVE", *_TRAFFIC)) or is_made or call.name in _IN_TRAFFIC:
        return Circle.NODE
    return Circle.INTERPRETER


def is_any(call: Call) -> bool:
    """Tell whether a call can fail at all: the interpreter's own, too."""
    return call.name not in _NO_FAULT


def faults_of(calls: Iterable[Call]) -> list[Fault]:
    return [Fault(call, kind) for call in calls for kind in call.kinds()]


def _place(name: str, rest: str, root: str) -> str:
    place = ""
    if match := _DESCRIPTOR.match(rest):
        place, rest = match[1], rest[match.end() :]
        if not (name.endswith("at") or name in ("openat2", "renameat2", "statx")):
            rest = ""
    if (match := _PATH.match(rest)) and match[1]:
        place = match[1] if match[1].startswith("/") else f"{place}/{match[1]}"
    if place.startswith("/") and f"{root}/".startswith(place.rstrip("/") + "/") and place != root:
        return "/ABOVE"  # a step on the way to the node's root
    return normal(place.replace(root, "/NODE", 1) if place.startswith(root) else place)


def normal(place: str) -> str:
    """Return a name without what is another at each run: numbers, random parts."""
    place = re.sub(
        r"(/\.[^/]*?(?:json|foreign|resolv\.conf)(?!\.foreign))[-.][^/]*$", r"\1-*", place
    )
    return re.sub(r"(?<![\w.])\d+|\[\d+\]|(?<=-)\d+", "N", place)
