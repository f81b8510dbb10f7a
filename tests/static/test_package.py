"""What is shipped: the scripts, the package and the unit, each held to its standard.

The package is built once, from a copy of the tree. Nothing is installed.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from static.built import TREE, Package, expect_silence, run

UNIT = TREE / "systemd/dnsguard.service"
POSTRM = TREE / "packaging/debian/dnsguard.postrm"

MODULES = "usr/lib/python3/dist-packages"
POD_FILE = "/var/lib/dnsguard/resolv.conf"


def _project() -> Mapping[str, Any]:
    project: Mapping[str, Any] = tomllib.loads((TREE / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    return project


def _tool(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is missing; sudo tests/run static installs it"
    return found


# The scripts


def _shell_scripts() -> Iterator[Path]:
    for directory in ("packaging", "tests", ".ci"):
        for path in (TREE / directory).rglob("*"):
            if path.is_file() and re.match(rb"#!/bin/(ba)?sh\b", path.read_bytes()[:16]):
                yield path


SCRIPTS = sorted(_shell_scripts())


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.name for script in SCRIPTS])
def test_shell_script_is_sound(script: Path) -> None:
    """The script parses by its own shell, and shellcheck has nothing to say."""
    shell = script.read_text("utf-8").partition("\n")[0].removeprefix("#!").split()[0]
    expect_silence(run(shell, "-n", script))
    expect_silence(run(_tool("shellcheck"), script))


# The package


def test_build_only_reads_the_tree(package: Package) -> None:
    """The work tree is the same after a build as before."""
    assert not package.litter


def test_versions_agree(package: Package) -> None:
    """The project, its module and the package have one version."""
    version = _project()["version"]
    module = run("/usr/bin/python3", "-c", "import dnsguard; print(dnsguard.__version__)")
    assert module.stdout.strip() == version
    assert package.field("Version") == version


_DEBIAN = {"pyyaml": "yaml"}
"""Debian's packages that are not called like PyPI's."""


def test_dependencies_agree(package: Package) -> None:
    """The package depends on Debian's own packages of what the project depends on."""
    depends = set(package.field("Depends").split(", "))
    wanted = (re.fullmatch(r"([a-z0-9]+)>=([0-9.]+)", it) for it in _project()["dependencies"])
    named = {(_DEBIAN.get(it[1], it[1]), it[2]) for it in wanted if it}
    assert {f"python3-{name} (>= {version})" for name, version in named} <= depends
    assert not [it for it in depends if not it.startswith("python3")]


def test_package_holds_our_modules_and_no_others(package: Package) -> None:
    """Every module of the tree is in it; nothing of anyone else is bundled."""
    installed = package.installed()
    ours = {
        f"{MODULES}/{path.relative_to(package.tree)}"
        for path in (package.tree / "dnsguard").rglob("*")
        if path.is_file()
    }
    python = {path for path in installed if path.startswith("usr/lib/python3")}
    metadata = f"{MODULES}/dnsguard-{_project()['version']}.dist-info/"
    assert {path for path in python if not path.startswith(metadata)} == ours


def test_package_holds_all_the_rest(package: Package) -> None:
    """The program, its unit, its configuration and every man page are in their places."""
    manuals = {
        f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz"
        for page in (package.tree / "docs/man").iterdir()
    }
    assert {"dnsguard.8.gz", "dnsguard.toml.5.gz"} <= {Path(page).name for page in manuals}
    rest = {"usr/bin/dnsguard", "etc/dnsguard/dnsguard.toml"}
    # What an operator needs where no name resolves; dh_compress packs what is long.
    rest |= {
        f"usr/share/doc/dnsguard/{name}"
        for name in (
            "README.md.gz",
            "README.zh-CN.md.gz",
            "CHANGELOG.md.gz",
            "runbook.md.gz",
            "incident.md.gz",
            "incident.svg",
        )
    }
    # debhelper 13.11 enables no unit under usr/lib/systemd/system.
    rest.add("lib/systemd/system/dnsguard.service")
    assert manuals | rest <= package.installed()


def test_the_manuals_name_documents_that_are_there(package: Package) -> None:
    """Packed or not as they say: a program reads the status's schema as it lies there."""
    named = {
        path.lstrip("/")
        for page in (package.tree / "docs/man").iterdir()
        for path in re.findall(
            r"^\.Pa (/usr/share/doc/dnsguard/\S+)", page.read_text("utf-8"), re.MULTILINE
        )
    }
    schema = "usr/share/doc/dnsguard/status.schema.json"
    assert schema in named
    assert {path for path in named if not (package.files / path).exists()} == set()
    assert "properties" in json.loads((package.files / schema).read_text("utf-8"))


def test_whatever_is_installed_is_readable_by_all(package: Package) -> None:
    """The modes are right, also of a package built under a private umask."""
    modes = {
        path: oct(path.stat().st_mode & 0o777)
        for path in package.files.rglob("*")
        if not path.is_symlink()
    }
    assert {path for path, mode in modes.items() if mode == "0o755" and path.is_file()} == {
        package.files / "usr/bin/dnsguard"
    }
    assert set(modes.values()) == {"0o755", "0o644"}


def test_program_is_isolated(package: Package) -> None:
    """Root's environment, directory and home can't slip a module in; no bytecode is left."""
    first = (package.files / "usr/bin/dnsguard").read_text("utf-8").partition("\n")[0]
    assert first.removeprefix("#!").split() == ["/usr/bin/python3", "-IB"]


def test_configuration_is_kept_on_upgrade(package: Package) -> None:
    """The configuration is a conffile, and the only one."""
    conffiles = (package.control / "conffiles").read_text("utf-8").split()
    assert conffiles == [
        "/etc/dhcp/dhclient-enter-hooks.d/dnsguard",
        "/etc/dnsguard/dnsguard.toml",
    ]


def test_installing_enables_and_upgrading_restarts(package: Package) -> None:
    """The maintainer scripts parse; postinst enables, starts and restarts, prerm stops."""
    for name in ("postinst", "prerm", "postrm"):
        expect_silence(run("sh", "-n", package.control / name))
    postinst = (package.control / "postinst").read_text("utf-8")
    assert "deb-systemd-helper enable 'dnsguard.service'" in postinst
    assert "_dh_action=restart" in postinst
    assert "_dh_action=start\n" in postinst
    # Stopped by removal only: an upgrade leaves the old daemon guarding until then.
    prerm = (package.control / "prerm").read_text("utf-8")
    assert '[ "$1" = remove ] && [ -d /run/systemd/system ]' in prerm
    assert prerm.count("deb-systemd-invoke stop 'dnsguard.service'") == 1


# Purge, by the script itself below a root of its own


def _root_with_state(root: Path) -> Path:
    state = root / "var/lib/dnsguard"
    state.mkdir(parents=True)
    for name in ("resolv.conf", "state.json", "resolv.conf.foreign"):
        (state / name).write_text("nameserver 192.0.2.53\n", "ascii")
    return state


@pytest.fixture
def purge(tmp_path: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Return a way to run what dpkg runs when the package is purged."""

    def purge_it() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", POSTRM, "purge"],
            env={"PATH": os.environ["PATH"], "DPKG_ROOT": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        )

    return purge_it


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("etc/kubernetes/kubelet-config.yaml", f'resolvConf: "{POD_FILE}"\n'),
        ("var/lib/kubelet/config.yaml", f"a: 1\nresolvConf: {POD_FILE}\n"),
        ("var/lib/kubelet/config.yaml.d/10-dns.conf", f"resolvConf: {POD_FILE}\n"),
        ("etc/kubernetes/kubelet/kubelet-config.json", f'{{"resolvConf": "{POD_FILE}"}}'),
        ("etc/rancher/k3s/config.yaml", f"resolv-conf: {POD_FILE}\n"),
        ("etc/rancher/k3s/config.yaml.d/dns.yaml", f"resolv-conf: {POD_FILE}\n"),
        ("etc/systemd/system/k3s.service.env", f"K3S_RESOLV_CONF={POD_FILE}\n"),
        ("var/snap/microk8s/current/args/kubelet", f"--resolv-conf={POD_FILE}\n"),
        ("etc/kubernetes/kubelet.env", f'KUBELET_ARGS="--resolv-conf={POD_FILE}"\n'),
        (
            "etc/systemd/system/kubelet.service.d/a.conf",
            f"Environment=X=--resolv-conf={POD_FILE}\n",
        ),
    ],
)
def test_purge_leaves_kubelet_its_file(
    tmp_path: Path,
    purge: Callable[[], subprocess.CompletedProcess[str]],
    config: str,
    text: str,
) -> None:
    """A file that kubelet hands to pods outlives the package, alone, and one line says so."""
    state = _root_with_state(tmp_path)
    (tmp_path / config).parent.mkdir(parents=True)
    (tmp_path / config).write_text(text, "ascii")
    done = purge()
    assert [path.name for path in state.iterdir()] == ["resolv.conf"]
    (line,) = done.stdout.splitlines()
    assert f"{POD_FILE} stays: kubelet reads it (/{config})" in line
    assert not done.stderr


@pytest.mark.parametrize(
    "text",
    ["", "resolvConf: /etc/resolv.conf\n", f"# resolvConf: {POD_FILE}\n"],
    ids=["empty", "another file", "a comment"],
)
def test_purge_leaves_nothing_else(
    tmp_path: Path, purge: Callable[[], subprocess.CompletedProcess[str]], text: str
) -> None:
    """Where kubelet reads another file, nothing of the package is left."""
    state = _root_with_state(tmp_path)
    config = tmp_path / "etc/kubernetes/kubelet-config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(text, "ascii")
    done = purge()
    assert not state.exists()
    assert not done.stdout + done.stderr


# The unit


def test_unit_exposes_little() -> None:
    """By systemd's own count the unit's exposure is 2.0 or better."""
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert exposure is not None, done.stdout
    assert float(exposure[1]) <= 2.0, done.stdout


def test_unit_has_one_capability() -> None:
    """Every capability but the one for DHCP's port is out of the unit's reach."""
    done = run("systemd-analyze", "security", "--offline=true", "--json=short", UNIT)
    found = {
        it["name"]: it["set"]
        for it in json.loads(done.stdout)
        if it["name"].startswith(("CapabilityBoundingSet=", "AmbientCapabilities="))
    }
    open_ones = [name for name, is_closed in found.items() if not is_closed]
    assert open_ones == ["CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)"]
    assert "\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" in UNIT.read_text("utf-8")


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """No directive is misspelt or unknown to Debian 12's systemd, and no order is a cycle."""
    # The program is not installed here; everything else is as it is shipped.
    text = UNIT.read_text("utf-8").replace("/usr/bin/dnsguard", "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(text, "utf-8")
    expect_silence(run("systemd-analyze", "verify", "--man=no", unit))
