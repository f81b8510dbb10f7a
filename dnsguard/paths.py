"""Every path the guard touches, below one root.

The root is ``/`` on a node; ``--root`` moves it for tests, the bench and the demo,
which is how all of them run the very same code.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)  # no slots, which leave no room for what is cached: pathlib is slow
class Paths:
    """Where things are; hier(7) and dhclient(8) say why there."""

    root: Path = Path("/")

    @cached_property
    def resolv_conf(self) -> Path:
        return self.root / "etc/resolv.conf"

    @cached_property
    def config(self) -> Path:
        return self.root / "etc/dnsguard/dnsguard.toml"

    @cached_property
    def state(self) -> Path:
        """Remembered candidates."""
        return self.root / "var/lib/dnsguard/state.json"

    @cached_property
    def foreign(self) -> Path:
        """resolv.conf as someone else wrote it last."""
        return self.root / "var/lib/dnsguard/resolv.conf.foreign"

    @cached_property
    def pod_file(self) -> Path:
        """The file for kubelet."""
        return self.root / "var/lib/dnsguard/resolv.conf"

    @cached_property
    def socket(self) -> Path:
        return self.root / "run/dnsguard/control.sock"

    @cached_property
    def lock(self) -> Path:
        """Held by the daemon that runs."""
        return self.root / "run/dnsguard/daemon.lock"

    @cached_property
    def hold(self) -> Path:
        """What an operator has pinned; for this boot, and for the next daemon."""
        return self.root / "run/dnsguard/hold.json"

    @cached_property
    def metrics(self) -> Path:
        """Written where node-exporter's directory is not root's alone."""
        return self.root / "run/dnsguard/dnsguard.prom"

    @cached_property
    def dhclient_hooks(self) -> tuple[Path, ...]:
        """What dhclient(8) and dhclient-script(8) read at the next lease."""
        dhcp = self.root / "etc/dhcp"
        return (
            dhcp / "dhclient.conf",
            dhcp / "dhclient-enter-hooks.d",
            dhcp / "dhclient-exit-hooks.d",
        )

    @cached_property
    def hook(self) -> Path:
        """Our enter hook, which dhclient-script(8) sources."""
        return self.root / "etc/dhcp/dhclient-enter-hooks.d/dnsguard"

    @cached_property
    def hook_lock(self) -> Path:
        """Held while our enter hook is to keep dhclient from resolv.conf."""
        return self.root / "run/dnsguard/dhclient.lock"

    @cached_property
    def hook_records(self) -> Path:
        """What the hook writes down, a file an interface."""
        return self.root / "run/dnsguard/dhclient"

    @cached_property
    def resolved_drop_in(self) -> Path:
        """Our part of systemd-resolved's configuration (resolved.conf(5)).

        A reboot forgets it. Files are read in the order of their names, and the last word counts.
        """
        return self.root / "run/systemd/resolved.conf.d/zz-dnsguard.conf"
