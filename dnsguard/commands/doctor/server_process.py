"""One DNS server's process: its pod, its Corefile, where it is asked and whom it asks."""

import posixpath
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dnsguard.commands.doctor.loops import Block, Endpoint, Forward, Server, Target
from dnsguard.formats import corefile, resolvconf
from dnsguard.formats.address import IPAddress, parse_address, plain
from dnsguard.host import pods, processes
from dnsguard.host.pod_resolv_confs import CONF

PROGRAMS = ("coredns", "node-cache")
_SLACK = 2.0
"""Seconds: a process's start is known to a hundredth, the clock's boot to a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """One DNS server's process."""

    pid: int
    program: str
    pod: pods.Pod | None
    nameservers: tuple[IPAddress, ...]
    """Of its /etc/resolv.conf."""
    corefile: str
    server: Server
    answers_cluster: bool
    """Whether its Corefile has the ``kubernetes`` plugin."""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.server.name


def find_program(process: processes.Process) -> str:
    called = posixpath.basename(process.arguments[0])
    return next((one for one in PROGRAMS if one in called), PROGRAMS[0])


def read_server(directory: Path, pod: pods.Pod | None, process: processes.Process) -> ServerProcess:
    network = pods.find_network(directory)
    content, changed = pods.read(directory, CONF)
    nameservers = resolvconf.read_addresses(content)
    conf = _read_option(process.arguments, "conf") or "Corefile"
    blocks = _read_corefile(directory, conf)
    ports = {int(text) for text in (_read_option(process.arguments, "dns.port"),) if _is_port(text)}
    program = find_program(process)
    listens = pods.find_listening(directory)
    notes = []
    if changed > process.started + _SLACK:
        notes.append(f"{CONF} changed after it started: it may still use what was there before")
    if not listens:
        notes.append("listens nowhere yet")
    default = min(ports, default=53)
    return ServerProcess(
        pid=process.pid,
        program=program,
        pod=pod,
        nameservers=nameservers,
        corefile=conf,
        server=Server(
            name=f"pod {pod.name}" if pod else f"{program} (pid {process.pid})",
            blocks=tuple(
                Block(
                    zone=zone,
                    endpoints=_find_endpoints(
                        block.binds, port or default, listens, directory, network
                    ),
                    local=block.local,
                    forwards=tuple(
                        _find_forwards(one, directory, network) for one in block.forwards
                    ),
                )
                for block in blocks
                for zone, port in block.keys
            ),
        ),
        answers_cluster=any(one.plugin == "kubernetes" for block in blocks for one in block.local),
        notes=tuple(notes),
    )


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5


def _read_option(arguments: Sequence[str], name: str) -> str:
    """Return an option's value as Go's flag package reads it; the last one wins."""
    found = ""
    for at, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        if option in (f"-{name}", f"--{name}"):
            found = value if equals else next(iter(arguments[at + 1 : at + 2]), "")
    return found


def _read_corefile(directory: Path, conf: str) -> tuple[corefile.Block, ...]:
    content, _ = pods.read(directory, conf)
    below = posixpath.dirname(conf)

    def imports(pattern: str) -> Iterable[bytes]:
        return pods.find_matching(directory, posixpath.join(below, pattern))

    return corefile.read_blocks(content, pods.read_environ(directory), imports)


def _find_endpoints(
    binds: Sequence[str],
    port: int,
    listens: Iterable[tuple[IPAddress, int]],
    directory: Path,
    network: int,
) -> frozenset[Endpoint]:
    """Return where a server block is asked; the kernel knows what an interface's name means."""
    specific = {one for one, at in listens if at == port and not one.is_unspecified}
    found: frozenset[IPAddress] | set[IPAddress] = specific
    if binds:
        with suppress(ValueError):  # an interface's name
            found = {plain(parse_address(one)) for one in binds}
    else:
        found = pods.find_addresses(directory) - specific
    return frozenset(make_endpoint(one, port, network) for one in found)


def make_endpoint(address: IPAddress, port: int | None, network: int) -> Endpoint:
    return Endpoint(
        address=address, port=port or 53, network=network if address.is_loopback else None
    )


def _find_forwards(forward: corefile.Forward, directory: Path, network: int) -> Forward:
    targets = [
        Target(
            endpoint=make_endpoint(
                plain(one.address), one.port or _default_port(one.scheme), network
            )
        )
        for one in forward.servers
    ]
    for file in forward.files:
        with suppress(FileNotFoundError):
            named = resolvconf.read_addresses(pods.read(directory, file)[0])
            targets += [
                Target(endpoint=make_endpoint(one, None, network), via=file) for one in named
            ]
    return Forward(base=forward.base, excepts=forward.excepts, targets=tuple(targets))


def _default_port(scheme: str | None) -> int:
    return 853 if scheme == "tls" else 53
