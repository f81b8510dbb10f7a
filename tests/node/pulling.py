"""Somebody on the node who pulls an image every second, and what came of it."""

import time
from dataclasses import dataclass
from threading import Event, Thread
from types import TracebackType
from typing import Self

from node.node import KubernetesNode

EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Pull:
    """One pull."""

    seconds: float
    trouble: str
    """Empty: it went well."""


class Puller:
    """Has containerd pull, while the block runs; its reference is resolved anew each time."""

    def __init__(self, node: KubernetesNode, image: str) -> None:
        self._node = node
        self._image = image
        self._ends = Event()
        # A program of the node's that outlives the thread which started it: none here.
        self._thread = Thread(target=self._pull)
        self.pulls: list[Pull] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._thread.join()

    @property
    def lost(self) -> list[Pull]:
        return [one for one in self.pulls if one.trouble]

    def __str__(self) -> str:
        slowest = max((one.seconds for one in self.pulls), default=0.0)
        return f"{len(self.pulls)} pulls, {len(self.lost)} lost, slowest {slowest:.1f} s"

    def _pull(self) -> None:
        while not self._ends.is_set():
            begun = time.monotonic()
            trouble = self._node.pulls(self._image)
            took = time.monotonic() - begun
            self.pulls.append(Pull(took, trouble))
            self._ends.wait(max(0.0, EVERY - took))
