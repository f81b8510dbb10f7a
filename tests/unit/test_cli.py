"""The command line: what it says, and its exit statuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dnsguard import __version__, cli
from dnsguard.host import resolvfile
from dnsguard.paths import Paths

TREE = Path(__file__).parents[2]
HEAVY = ("asyncio", "pyroute2", "dns", "structlog", "watchdog", "sdnotify", "tomllib")


def _status(*arguments: str) -> int:
    return cli.main(arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["guard"], "invalid choice: 'guard'"),
        (["status", "--yaml"], "unrecognized arguments: --yaml"),
        (["status", "now"], "unrecognized arguments: now"),
        (["--root"], "expected one argument"),
        (["check-config", "/no/such.toml"], "/no/such.toml: no such file"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and EX_USAGE."""
    assert _status(*arguments) == os.EX_USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("dnsguard: ")
    assert expected in said.err
    assert said.err.count("\n") == 1


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """As every Debian program says it."""
    with pytest.raises(SystemExit) as ended:
        _status("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"dnsguard {__version__}\n"


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What can be done stands in --help, with a line each."""
    with pytest.raises(SystemExit) as ended:
        _status("--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for command in ("run", "status", "plan", "secure", "check-config"):
        assert f"\n    {command}" in said


def test_no_daemon_is_one_line_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The status can't be told."""
    assert _status("--root", str(tmp_path), "status") == 1
    said = capsys.readouterr().err
    assert said.startswith("dnsguard: no daemon at ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["a" * 300, "file/in.toml"])
def test_a_file_that_is_out_of_reach_is_one_line_and_78(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the kernel has against its name."""
    (tmp_path / "file").touch()
    assert _status("check-config", str(tmp_path / name)) == os.EX_CONFIG
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", [["check-config"], ["run"], ["plan"]])
def test_a_bad_configuration_is_one_line_and_78(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Named are file, key and remedy, whichever command reads it."""
    path = _config(tmp_path, "[health]\nsuccesses = 0\n")
    assert _status("--root", str(tmp_path), *command) == os.EX_CONFIG
    assert capsys.readouterr().err == (
        f"dnsguard: {path}: health.successes: must be a whole number from 1 to 100\n"
    )


def _config(root: Path, text: str) -> Path:
    path = Paths(root).config
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_checking_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There or not there, by its own name or by another."""
    arguments = ("--root", str(tmp_path), "check-config")
    path = Paths(tmp_path).config
    assert _status(*arguments) == 0
    assert capsys.readouterr().out == f"{path}: not there, the defaults are used\n"
    _config(tmp_path, "[health]\nsuccesses = 5\n")
    assert _status(*arguments) == 0
    assert capsys.readouterr().out == f"{path}: fine\n"
    other = tmp_path / "other.toml"
    other.write_text("[log]\nlevel = 'loud'\n")
    assert _status(*arguments, str(other)) == os.EX_CONFIG
    assert capsys.readouterr().err.startswith(f"dnsguard: {other}: log.level: must be one of")


def test_a_bad_configuration_keeps_nobody_from_safety(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs when the unit stops: it says what is wrong and goes by the defaults."""
    _config(tmp_path, "[health]\nsuccesses = 0\n")
    paths = Paths(tmp_path)
    paths.resolv_conf.write_bytes(b"nameserver 169.254.25.10\n")
    paths.resolv_conf.with_name("resolv.conf.bak").write_bytes(b"nameserver 10.0.0.2\n")
    assert _status("--root", str(tmp_path), "secure") == 0
    assert b"\nnameserver 10.0.0.2\n" in paths.resolv_conf.read_bytes()
    assert b"\nnameserver 169" not in b"\n" + paths.resolv_conf.read_bytes()
    said = capsys.readouterr().err
    assert "health.successes" in said
    assert "resolv_conf_written nameservers=10.0.0.2" in said


def test_securing_twice_writes_once(tmp_path: Path) -> None:
    """Nothing is touched where nothing is wrong, and nothing of ours stays beside it."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "resolv.conf").write_bytes(b"nameserver 169.254.25.10\nnameserver 10.0.0.2\n")
    assert _status("--root", str(tmp_path), "secure") == 0
    first = resolvfile.identity_at(etc / "resolv.conf")
    assert _status("--root", str(tmp_path), "secure") == 0
    assert resolvfile.identity_at(etc / "resolv.conf") == first
    assert [path.name for path in etc.iterdir()] == ["resolv.conf"]


def _imported_by(tmp_path: Path, *arguments: str) -> set[str]:
    """Return the modules that a command has loaded when it ends."""
    script = (
        "import json, sys; before = set(sys.modules); from dnsguard import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--root", str(tmp_path), *arguments],
        env={"PYTHONPATH": str(TREE), "PATH": "/usr/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return {str(name).partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.subprocess
@pytest.mark.parametrize("arguments", [["status"], ["--version"], ["--help"], []])
def test_a_command_typed_in_a_hurry_loads_nothing_heavy(
    tmp_path: Path, arguments: list[str]
) -> None:
    """It asks a socket: no event loop, no netlink, no DNS, no logging."""
    assert not _imported_by(tmp_path, *arguments) & set(HEAVY)


@pytest.mark.subprocess
def test_the_way_to_a_safe_file_loads_no_library(tmp_path: Path) -> None:
    """The first look at boot, and the last, need the standard library only."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_bytes(b"nameserver 10.0.0.2\n")
    heavy = set(HEAVY) - {"tomllib"}
    assert not _imported_by(tmp_path, "secure") & heavy


@pytest.mark.subprocess
def test_secure_needs_the_standard_library_alone(tmp_path: Path) -> None:
    """packaging/install runs it out of the tree, on a node that can't fetch a package yet."""
    (tmp_path / "etc/kubernetes").mkdir(parents=True)
    (tmp_path / "etc/kubernetes/kubelet-config.yaml").write_text("resolvConf: /etc/resolv.conf\n")
    (tmp_path / "etc/resolv.conf").write_text("nameserver 169.254.25.10\n")
    (tmp_path / "etc/resolv.conf.bak").write_text("nameserver 192.0.2.53\n")
    # -S: without site-packages, where every library lies.
    command = [sys.executable, "-SEsB", "-m", "dnsguard", "--root", str(tmp_path), "secure"]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/resolv.conf").read_text().endswith("\nnameserver 192.0.2.53\n")
