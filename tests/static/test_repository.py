"""packaging/repository: what it refuses, what it keeps, and what apt's indexes say of it."""

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from boot.repository import MAKE, Keyring, keyring, publish


@pytest.fixture(scope="module")
def keys() -> Iterator[Keyring]:
    with tempfile.TemporaryDirectory(prefix="gpg") as home, keyring(Path(home, "k")) as made:
        yield made


def _make_deb(directory: Path, version: str, *, description: str = "a package") -> Path:
    """Make a package of nothing but its name."""
    control = directory / "tree/DEBIAN/control"
    control.parent.mkdir(parents=True, exist_ok=True)
    control.write_text(
        f"Package: dnsguard\nVersion: {version}\nArchitecture: all\n"
        f"Maintainer: nobody <nobody@example.org>\nDescription: {description}\n"
    )
    deb = directory / f"dnsguard_{version}_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(directory / "tree"), str(deb)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1767225600"}
    subprocess.run(command, check=True, capture_output=True, env=environ)
    return deb


def _published(repository: Path, keys: Keyring, *debs: Path) -> dict[str, str]:
    """Publish, and return what Release says: the hash of each index, by its name."""
    done = publish(repository, keys, *debs)
    assert (done.returncode, done.stdout) == (0, f"{repository}\n"), done.stderr
    release = (repository / "dists/stable/Release").read_text()
    found = re.findall(r"^ ([0-9a-f]{64}) +\d+ (\S+)$", release, re.MULTILINE)
    return {name: digest for digest, name in found}


def test_each_index_lies_where_its_hash_says(tmp_path: Path, keys: Keyring) -> None:
    """For every architecture of Debian 12, by its name and by its hash; nothing else is signed."""
    named = _published(tmp_path / "apt", keys, _make_deb(tmp_path, "1.0"))
    suite = tmp_path / "apt/dists/stable"
    assert {"main/binary-all/Packages", "main/binary-arm64/Packages.xz"} <= named.keys()
    for name, digest in named.items():
        content = (suite / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert ((suite / name).parent / "by-hash/SHA256" / digest).read_bytes() == content
    for signature in ("InRelease", "Release.gpg"):
        keys.gpg(
            "--verify", str(suite / signature), *[str(suite / "Release")] * ("gpg" in signature)
        )


def test_a_client_in_the_middle_still_finds_its_indexes(tmp_path: Path, keys: Keyring) -> None:
    """What the last Release named stays for one publication; what is older goes."""
    repository = tmp_path / "apt"
    runs = [_published(repository, keys, _make_deb(tmp_path, v)) for v in ("1.0", "1.1", "1.2")]
    there = {path.name for path in repository.rglob("by-hash/SHA256/*")}
    assert there == {*runs[1].values(), *runs[2].values()}
    packages = (repository / "dists/stable/main/binary-amd64/Packages").read_text()
    assert {*re.findall(r"^Version: (\S+)$", packages, re.MULTILINE)} == {"1.0", "1.1", "1.2"}


def test_a_published_version_stays_what_it_was(tmp_path: Path, keys: Keyring) -> None:
    """The same package again is no news; another one of the same version is refused."""
    repository = tmp_path / "apt"
    before = _published(repository, keys, _make_deb(tmp_path, "1.0"))
    assert _published(repository, keys, _make_deb(tmp_path, "1.0")) == before
    done = publish(repository, keys, _make_deb(tmp_path, "1.0", description="another one"))
    assert done.returncode == 1
    assert "give it a new version" in done.stderr
    assert _published(repository, keys) == before


def test_everyone_may_read_it(tmp_path: Path, keys: Keyring) -> None:
    """A web server does, whatever the umask of whoever published."""
    deb = _make_deb(tmp_path, "1.0")
    before = os.umask(0o077)
    try:
        _published(tmp_path / "apt", keys, deb)
    finally:
        os.umask(before)
    modes = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "apt").rglob("*")}
    assert modes == {"0o755", "0o644"}
    assert not [*(tmp_path / "apt").rglob("*.new")]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 64, "usage"),
        (["--sign", "x"], 64, "no option '--sign'"),
        (["{}", "nobody@example.org"], 1, "no secret key 'nobody@example.org'"),
        (["{}", "{key}"], 1, "there is no package"),
        (["{}", "{key}", "/dev/null"], 1, "/dev/null is no Debian package"),
    ],
)
def test_what_can_not_be_is_said(
    tmp_path: Path, keys: Keyring, arguments: list[str], status: int, said: str
) -> None:
    """In one line, and nothing is published."""
    command = [part.format(tmp_path / "apt", key=keys.key) for part in arguments]
    done = subprocess.run(
        [MAKE, *command], env=keys.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert said in done.stderr
    assert not (tmp_path / "apt/dists").exists()
