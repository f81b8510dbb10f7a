"""What each release of Kubespray does to nameservers: FACTS.md's table, row by row."""

from dataclasses import dataclass
from enum import Enum

NODE_LOCAL = "169.254.25.10"
CLUSTER_DNS = "10.233.0.3"
STUB = "127.0.0.53"
REAL = "10.99.0.2"
"""The nameserver that the DHCP server tells."""
ROUTER = "10.99.0.1"
"""Its own address, and the router's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one release, in one way of using it, does to nameservers."""

    name: str
    superseded: tuple[str, ...] = ()
    """In dhclient.conf; none: it says nothing of nameservers."""
    separator: str = ", "
    is_quoted: bool = True
    """Domains in dhclient.conf; dhclient takes no others."""
    is_early: bool = False
    """Stopped in its early stage, which leaves an invalid statement."""
    is_rerun: bool = False
    """It came again when the node was poisoned, and copied the poison."""

    @property
    def statements(self) -> tuple[str, ...]:
        """dhclient.conf's block; up to 2.26 the nameservers stand last."""
        mark = '"' if self.is_quoted else ""
        search = [
            f"{mark}{name}{mark}" for name in ("default.svc.cluster.local", "svc.cluster.local")
        ]
        domains = (
            f"supersede domain-name {mark}cluster.local{mark};",
            f"supersede domain-search {self.separator.join(search)};",
        )
        servers = self.separator.join(self.superseded)
        if not servers and not self.is_early:
            return domains
        nameservers = f"supersede domain-name-servers {servers};"
        return (nameservers, *domains) if self.separator == "," else (*domains, nameservers)

    @property
    def is_in_file(self) -> bool:
        return REAL in self.superseded

    @property
    def poisons(self) -> bool:
        """Whether dhclient, once started, knows no real server."""
        return bool(self.superseded) and not self.is_in_file

    @property
    def effective(self) -> tuple[str, ...]:
        """The nameservers that dhclient makes of the offer."""
        return self.superseded or (REAL,)


_BOTH = (NODE_LOCAL, REAL)


class Row(Enum):
    """FACTS.md's rows."""

    V2_14 = Release(name="2.14-2.17")
    V2_14_HOST = Release(name="2.14-2.17, host_resolvconf", superseded=(CLUSTER_DNS,))
    V2_18 = Release(name="2.18, 2.19", superseded=(CLUSTER_DNS,))
    V2_20 = Release(name="2.20", superseded=(NODE_LOCAL, CLUSTER_DNS))
    V2_21 = Release(name="2.21-2.23", superseded=(NODE_LOCAL,))
    V2_24 = Release(name="2.24-2.26", superseded=_BOTH)
    V2_27 = Release(name="2.27", superseded=_BOTH, separator=",", is_quoted=False)
    V2_28 = Release(name="2.28 and later", superseded=_BOTH, separator=",")
    RERUN = Release(
        name="2.28, rerun when poisoned", superseded=(NODE_LOCAL,), separator=",", is_rerun=True
    )
    DISABLED = Release(
        name="2.28, disable_host_nameservers", superseded=(NODE_LOCAL,), separator=","
    )
    EARLY = Release(name="up to 2.25, early stage only", is_early=True)
