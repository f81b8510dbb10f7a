"""The last words: what of the node becomes dangerous without dnsguard."""

from pathlib import Path

import pytest

from dnsguard.commands.secure import secure
from dnsguard.paths import Paths

SUPERSEDE = "# Kubespray's\nsupersede domain-name-servers 169.254.25.10;\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "etc/dhcp").mkdir(parents=True)
    (tmp_path / "etc/resolv.conf").write_text("nameserver 10.0.0.2\n")
    return Paths(tmp_path)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        (SUPERSEDE, "/etc/dhcp/dhclient.conf:2 (supersede domain-name-servers 169.254.25.10): "),
        ("append domain-name-servers 10.0.0.3;\n", None),
        ("", None),
    ],
)
def test_the_removal_names_what_poisons_the_next_boot(
    paths: Paths, capsys: pytest.CaptureFixture[str], conf: str, said: str | None
) -> None:
    """The line, and what to do; nothing where the boot is safe, and nothing at a mere stop."""
    (paths.root / "etc/dhcp/dhclient.conf").write_text(conf)
    assert secure(paths) == 0
    assert capsys.readouterr().err == ""
    assert secure(paths, gives_link_back=True) == 0
    told = capsys.readouterr().err
    assert (said in told) if said else told == ""
    assert told.count("\n") == (said is not None)
