"""Mounts that end with the test."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import needs


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """Bind-mount one file or directory over another; skip the test where nothing mounts."""
    needs.require("root", "namespaces")
    subprocess.run(["mount", "--bind", source, target], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", target], check=True)
