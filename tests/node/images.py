"""Container images made FROM scratch, one program each, and pushed into the ring's registry.

An image is what the OCI image specification says: a layer (a tar), a configuration, and a
manifest that names both by their digests. Pushing is three requests of its distribution
specification.
"""

import hashlib
import http.client
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

REGISTRY = "registry.test"
_OCI = "application/vnd.oci.image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A program and how it is called."""

    name: str
    tag: str
    program: Path
    command: tuple[str, ...] = ()
    """After the program itself, unless a pod says otherwise."""
    directories: tuple[str, ...] = field(default=("etc", "tmp"))

    def __str__(self) -> str:
        return f"{REGISTRY}/{self.name}:{self.tag}"

    def layer(self) -> bytes:
        """Return its only layer."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name in self.directories:
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            entry = tarfile.TarInfo(self.name)
            entry.mode, entry.size = 0o755, self.program.stat().st_size
            with self.program.open("rb") as program:
                archive.addfile(entry, program)
        return packed.getvalue()


def push(image: Image, registry: str, tags: tuple[str, ...] = ()) -> None:
    """Push an image under its tag and others.

    :param registry: its address.
    """
    layer = image.layer()
    configuration = json.dumps(_configuration(image, layer)).encode()
    for blob in (layer, configuration):
        _push_blob(registry, image.name, blob)
    manifest = json.dumps(_manifest(configuration, layer)).encode()
    for tag in (image.tag, *tags):
        path = f"/v2/{image.name}/manifests/{tag}"
        _request(registry, "PUT", path, manifest, f"{_OCI}.manifest.v1+json")


def answers(registry: str) -> bool:
    """Tell whether a registry is there."""
    try:
        _request(registry, "GET", "/v2/", b"", "")
    except OSError:
        return False
    return True


def _configuration(image: Image, layer: bytes) -> dict[str, object]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{image.name}"], "Cmd": list(image.command)},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }


def _manifest(configuration: bytes, layer: bytes) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _described(configuration, f"{_OCI}.config.v1+json"),
        "layers": [_described(layer, f"{_OCI}.layer.v1.tar")],
    }


def _described(blob: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _push_blob(registry: str, name: str, blob: bytes) -> None:
    place = _request(registry, "POST", f"/v2/{name}/blobs/uploads/", b"", "")
    mark = "&" if "?" in place else "?"
    path = f"{place}{mark}digest={_digest(blob)}".removeprefix(f"http://{registry}")
    _request(registry, "PUT", path, blob, "application/octet-stream")


def _request(registry: str, method: str, path: str, body: bytes, kind: str) -> str:
    """Return where the answer says to go on."""
    connection = http.client.HTTPConnection(registry, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    assert answer.status < 300, f"{method} {path}: {answer.status} {said!r}"
    return answer.headers.get("Location", "")
