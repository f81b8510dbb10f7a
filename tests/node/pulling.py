"""Somebody on the node who pulls an image every second, and what came of it."""

import time
from dataclasses import dataclass

from boot.beside import Beside

from node.node import KubernetesNode

EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Pull:
    """One pull."""

    seconds: float
    trouble: str
    """Empty: it went well."""


class Puller(Beside):
    """Has containerd pull, while the block runs; its reference is resolved anew each time."""

    def __init__(self, node: KubernetesNode, image: str) -> None:
        # A program of the node's that outlives the thread which started it: none here.
        super().__init__()
        self._node = node
        self._image = image
        self.pulls: list[Pull] = []

    @property
    def lost(self) -> list[Pull]:
        return [one for one in self.pulls if one.trouble]

    def __str__(self) -> str:
        slowest = max((one.seconds for one in self.pulls), default=0.0)
        return f"{len(self.pulls)} pulls, {len(self.lost)} lost, slowest {slowest:.1f} s"

    def turn(self) -> None:
        begun = time.monotonic()
        trouble = self._node.pulls(self._image)
        took = time.monotonic() - begun
        self.pulls.append(Pull(took, trouble))
        self.done.wait(max(0.0, EVERY - took))
