"""packaging/install: what it is asked, and whom apt has to find. No package is installed."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / "packaging/install"
FUNCTIONS = r"""eval "$(sed '/^# --- main/,$d' "$0")" && names_for_apt"""
"""What stands before the script's own work."""

DEB = "deb http://mirror.example/debian bookworm main"


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([INSTALL, *arguments], capture_output=True, text=True, check=False)


def test_help_is_shown_and_nothing_done() -> None:
    """It installed, once."""
    for option in ("-h", "--help"):
        done = _run(option)
        assert (done.returncode, done.stderr) == (0, "")
        assert "sudo packaging/install" in done.stdout


@pytest.mark.parametrize("arguments", [["--dry-run"], ["node1"], ["--help", "me"]])
def test_what_it_does_not_know_is_refused(arguments: list[str]) -> None:
    """EX_USAGE, and nothing is done."""
    done = _run(*arguments)
    assert (done.returncode, done.stdout) == (os.EX_USAGE, "")
    assert "takes no arguments" in done.stderr


def _names(root: Path, sources: str, settings: str, environ: Mapping[str, str]) -> list[str]:
    """Return whom apt would look up with these sources and settings, and no others."""
    for directory in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt", "var/lib/dpkg"):
        (root / directory).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/apt/sources.list").write_text(f"{sources}\n")
    (root / "etc/apt/apt.conf").write_text(f"{settings}\n")
    (root / "first.conf").write_text(
        f'Dir "{root}/";\nDir::State::status "{root}/var/lib/dpkg/status";\n'
    )
    done = subprocess.run(
        ["sh", "-c", FUNCTIONS, INSTALL],
        env={"APT_CONFIG": str(root / "first.conf"), "PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("sources", "settings", "environ", "expected"),
    [
        (DEB, "", {}, ["mirror.example"]),
        (
            f"{DEB}\ndeb https://user:word@other.example:8443/x y z",
            "",
            {},
            ["mirror.example", "other.example"],
        ),
        ("deb http://192.0.2.7/debian bookworm main", "", {}, []),
        ("deb http://[2001:db8::7]/debian bookworm main", "", {}, []),
        ("deb file:/srv/debian bookworm main", "", {}, []),
        ("deb cdrom:[Debian_12]/ bookworm main", "", {}, []),
        ("", "", {}, []),
        (DEB, 'Acquire::http::Proxy "http://proxy.example:3128";', {}, ["proxy.example"]),
        (DEB, 'Acquire::http::Proxy "http://192.0.2.8:3128";', {}, []),
        (DEB, 'Acquire::http::Proxy::mirror.example "http://192.0.2.8:3128";', {}, []),
        (
            DEB,
            'Acquire::http::Proxy { "http://192.0.2.8:3128"; mirror.example "DIRECT"; };',
            {},
            ["mirror.example"],
        ),
        (DEB, 'Acquire::http::Proxy-Auto-Detect "/usr/local/bin/find-proxy";', {}, []),
        (DEB, "", {"http_proxy": "http://192.0.2.8:3128/"}, []),
        (DEB, "", {"https_proxy": "http://192.0.2.8:3128/"}, ["mirror.example"]),
    ],
)
def test_only_who_must_be_found_is_asked_for(
    tmp_path: Path, sources: str, settings: str, environ: dict[str, str], expected: list[str]
) -> None:
    """Behind a proxy, with addresses or without a network no name has to resolve: no alarm."""
    assert _names(tmp_path, sources, settings, environ) == expected
