"""The world outside one node: a DHCP server, and two nameservers at addresses of their own.

All are dnsmasq, one process each, so that each log says who was asked what. The DHCP server
can be told to hand out the other nameserver from now on; the retired one goes on answering.
"""

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from boot.net import Namespace, cable
from boot.outside import ROOT_NS
from boot.waiting import wait_for

GATEWAY = "192.0.2.1"
FIRST, SECOND = "192.0.2.53", "192.0.2.54"
FIRST6, SECOND6 = "2001:db8:1::53", "2001:db8:1::54"
DOMAIN = "lab.test"
ZONE = "ask.test"
"""Every name in it exists, so that each question can be a new one: caches tell nothing."""
_INFORM = re.compile(r"(\d+) DHCPINFORM\(")
_ACK = re.compile(r"(\d+) DHCPACK\(")
"""By transaction, as ``log-dhcp`` has it."""
ADDRESS, ADDRESS6 = "203.0.113.7", "2001:db8:7::7"


class _Dnsmasq:
    """One dnsmasq, which dies with the test."""

    def __init__(self, where: Namespace, log: Path, ready: str, *options: str) -> None:
        self._log = log
        command = where.inside(
            *("setpriv", "--pdeathsig=KILL", "dnsmasq", "--keep-in-foreground"),
            *("--conf-file=/dev/null", "--user=root", "--group=root", "--pid-file="),
            *("--bind-interfaces", "--no-hosts", "--no-resolv", f"--log-facility={log}", *options),
        )
        # ^C is for the test, which then cleans up.
        self._process = subprocess.Popen(command, process_group=0)
        wait_for(f"dnsmasq: {ready}", lambda: ready in self.log(), seconds=10)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Outside:
    """The outside namespace with its servers.

    :param families: 4, 6 or both: what the node is given addresses of.
    :param records: names with an address of their own.
    """

    def __init__(
        self,
        directory: Path,
        *,
        families: frozenset[int] = frozenset({4}),
        records: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._directory = directory
        self._records = records
        self._families = families
        self._renew_every: int | None = None
        self._server = (FIRST, FIRST6)
        self.namespace = Namespace()
        self.namespace.ip("link add lan type bridge")
        if 4 in families:
            for address in (GATEWAY, FIRST, SECOND):
                self.namespace.ip(f"address add {address}/24 dev lan")
        if 6 in families:
            for address in ("2001:db8:1::1", FIRST6, SECOND6):
                self.namespace.ip(f"address add {address}/64 dev lan nodad")
        self.namespace.ip("link set lan up")
        self._dns = {
            pair: self._serve_names(index, pair)
            for index, pair in enumerate(((FIRST, FIRST6), (SECOND, SECOND6)))
        }
        self._options = directory / "dhcp-options"
        self._write_options()
        self._dhcp = self._serve_leases()

    def plug_in(self, node: Namespace) -> None:
        """Give ``node`` an eth0. The MAC is always the same: it is the same machine."""
        cable(self.namespace, "lan", node, name="eth0", mac="02:00:00:00:00:0a")

    # The DHCP server

    def hand_out(self, server: str) -> None:
        """Name this nameserver to whoever asks from now on, and to nobody who doesn't."""
        self._server = next(pair for pair in self._dns if server in pair)
        self._reread()

    def renew_every(self, seconds: int | None) -> None:
        """Have leases from now on renewed that soon (RFC 2132's T1); None: in half an hour."""
        self._renew_every = seconds
        self._reread()

    def leases_given(self) -> int:
        """Return how often the node's client was told who its nameserver is.

        What the guard asks of itself (DHCPINFORM) is acknowledged as well, and no lease.
        """
        log = self._dhcp.log()
        informs = set(_INFORM.findall(log))
        acknowledged = sum(one not in informs for one in _ACK.findall(log))
        return acknowledged + sum(log.count(word) for word in ("DHCPREPLY(", "RTR-ADVERT("))

    # The nameservers

    def was_asked(self, server: str, name: str) -> bool:
        """Tell whether this server was asked for a name; by IPv4 or IPv6."""
        return f"] {name} from " in self._server_of(server).log()

    @contextmanager
    def silent(self, server: str = FIRST) -> Iterator[None]:
        """Have a nameserver answer nobody, as in an outage."""
        dnsmasq = self._server_of(server)
        dnsmasq.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            dnsmasq.signal(signal.SIGCONT)

    def log(self) -> str:
        """Return the end of what all servers logged, for people."""
        servers = (self._dhcp, *self._dns.values())
        return "\n".join("".join(one.log().splitlines(keepends=True)[-60:]) for one in servers)

    def close(self) -> None:
        for server in (self._dhcp, *self._dns.values()):
            server.close()
        self.namespace.close()

    def _server_of(self, address: str) -> _Dnsmasq:
        return next(server for pair, server in self._dns.items() if address in pair)

    def _serve_names(self, index: int, addresses: tuple[str, str]) -> _Dnsmasq:
        return _Dnsmasq(
            self.namespace,
            self._directory / f"dns{index}.log",
            "started",
            *(f"--listen-address={one}" for one in self._of_families(addresses)),
            "--log-queries",
            f"--address=/{ZONE}/{ADDRESS}",
            f"--address=/{ZONE}/{ADDRESS6}",
            *(f"--host-record={name},{address}" for name, address in self._records.items()),
            f"--dns-rr={ROOT_NS}",
            # NXDOMAIN for the rest, as the internet says it; without this dnsmasq says REFUSED.
            "--address=/#/",
        )

    def _serve_leases(self) -> _Dnsmasq:
        ranges4 = ("--dhcp-range=192.0.2.100,192.0.2.199,1h",)
        ranges6 = ("--enable-ra", "--dhcp-range=2001:db8:1::,ra-stateless,64,1h")
        return _Dnsmasq(
            self.namespace,
            self._directory / "dhcp.log",
            "DHCP",
            "--port=0",
            "--interface=lan",
            "--log-dhcp",
            f"--dhcp-leasefile={self._directory / 'leases'}",
            f"--dhcp-optsfile={self._options}",
            *(ranges4 if 4 in self._families else ()),
            *(ranges6 if 6 in self._families else ()),
        )

    def _of_families(self, addresses: tuple[str, str]) -> list[str]:
        return [
            one for one, family in zip(addresses, (4, 6), strict=True) if family in self._families
        ]

    def _reread(self) -> None:
        before = self._dhcp.log().count("read ")
        self._write_options()
        self._dhcp.signal(signal.SIGHUP)
        wait_for("the new options", lambda: self._dhcp.log().count("read ") > before, seconds=5)

    def _write_options(self) -> None:
        lines = [f"option:dns-server,{self._server[0]}", f"option:domain-name,{DOMAIN}"]
        if 6 in self._families:
            lines += [f"option6:dns-server,[{self._server[1]}]", f"option6:domain-search,{DOMAIN}"]
        if self._renew_every is not None:
            lines += [f"option:T1,{self._renew_every}"]
        self._options.write_text("\n".join(lines) + "\n")
