"""An apt repository as packaging/repository makes it, and a web server for it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boot.net import Namespace
from boot.outside import UPSTREAM
from boot.waiting import wait_for

MAKE = Path(__file__).parents[2] / "packaging/repository"
URI = f"http://{UPSTREAM}"
"""By its address: on a poisoned node no name resolves."""


class Keyring:
    """A throw-away key in a keyring of its own; gpg's agent is gone when this is closed.

    :param home: its directory, made here; of a short path, for gpg's sockets.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        self.gpg("--passphrase", "", "--quick-generate-key", "throw-away", "ed25519", "sign", "1d")
        listed = self.gpg("--list-keys", "--with-colons").splitlines()
        self.key = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {"GNUPGHOME": str(self.home)}

    def gpg(self, *arguments: str) -> str:
        command = ["gpg", "--batch", "--quiet", "--no-tty", *arguments]
        return subprocess.run(
            command, check=True, env=self.environ, stdout=subprocess.PIPE, text=True
        ).stdout

    def public_key(self) -> str:
        return self.gpg("--armor", "--export", self.key)

    def close(self) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], check=True, env=self.environ)


@contextmanager
def keyring(home: Path) -> Iterator[Keyring]:
    """Give a new key."""
    made = Keyring(home)
    try:
        yield made
    finally:
        made.close()


def publish(repository: Path, keyring: Keyring, *debs: Path) -> "subprocess.CompletedProcess[str]":
    """Run packaging/repository, however it ends."""
    return subprocess.run(
        [MAKE, repository, keyring.key, *debs],
        check=False,
        env=keyring.environ,
        capture_output=True,
        text=True,
    )


@contextmanager
def served(repository: Path, outside: Namespace) -> Iterator[Path]:
    """Serve a repository as :data:`URI`; its log of requests is given."""
    log = repository.with_suffix(".log")
    server = (
        *("setpriv", "--pdeathsig=KILL", "/usr/bin/python3", "-u", "-m", "http.server"),
        *("--bind", UPSTREAM, "--directory", str(repository), "80"),
    )
    with log.open("wb") as output:
        process = subprocess.Popen(outside.inside(*server), stdout=output, stderr=output)
    try:
        wait_for("it is served", lambda: b"Serving" in log.read_bytes(), seconds=10)
        yield log
    finally:
        process.kill()
        process.wait()
