"""What is known of the node beside resolv.conf: looked up now and then, reused by the looks between.

Only the standard library is behind it at first, so that the very first look comes 50 ms after
the process starts.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dnsguard.core.attribution import RECENT, FileTouch
from dnsguard.core.hold import Hold
from dnsguard.core.model import Found, HookRecord
from dnsguard.core.observation import MAX_FILE, FileObservation, Observation, PodsFile
from dnsguard.core.policy import Policy, fill_policy
from dnsguard.formats.address import IPAddress
from dnsguard.formats.kubelet import Kubelet
from dnsguard.host import atomic, hook
from dnsguard.host import hold as holds
from dnsguard.host.files import read_bounded, read_whole
from dnsguard.host.kubelet import KubeletReader
from dnsguard.host.pods_file import PodsFileReader
from dnsguard.host.resolved import ResolvedReader, update_stubs
from dnsguard.paths import Paths

_MOST_TOUCHES = 64
_MOST_HOLD = 4096
"""Bytes; the longest has about 200."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the readers have found."""

    found: Found = field(default_factory=Found)
    records: tuple[HookRecord, ...] = ()
    kubelet: Kubelet | None = None
    kubelet_doubt: str | None = None
    """Why there may be one though none was found."""
    pod_file: bytes | None = None
    bound: frozenset[IPAddress] | None = None
    listening: frozenset[IPAddress] | None = None
    hold: Hold | None = None
    touches: tuple[FileTouch, ...] = ()
    is_last: bool = False
    """Whether the guard ends with the next look."""


class Surroundings:
    """Reads the node, each part when it is asked to."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._kubelet = KubeletReader(paths.root)
        self._pods = PodsFileReader(paths.root, paths.resolv_conf)
        self._resolved = ResolvedReader(paths)
        self.known = Knowledge(pod_file=read_bounded(paths.pod_file, MAX_FILE))

    def refresh(self) -> None:
        """Look up what changes seldom: sources, kubelet, the file for kubelet."""
        # Here, not above: its parsers cost 15 ms, and what is remembered may do for a start.
        from dnsguard.host import sources

        self.known = replace(self.known, found=sources.find_sources(self._paths))
        self._resolved.refresh()
        self.refresh_kubelet()

    def refresh_kubelet(self) -> None:
        """Look up what can change without a hint: kubelet, its file, what our hook has noted."""
        self.known = replace(self.known, pod_file=read_bounded(self._paths.pod_file, MAX_FILE))
        self.read_records()
        self.read_kubelet()

    def read_records(self) -> None:
        """Take in what our hook has written down."""
        self.known = replace(self.known, records=hook.read_records(self._paths.hook_records))

    def read_kubelet(self) -> None:
        """Take in what the processes and files say of kubelet, as far as these were searched."""
        found, doubt = self._kubelet.read(), self._kubelet.explain_doubt()
        self.known = replace(self.known, kubelet=found, kubelet_doubt=doubt)

    def search(self, seconds: float = math.inf) -> bool:
        """Search the processes for a kubelet for about so long; return whether there is more.

        Apart from the looks, which a repair may be waiting behind: there may be thousands.
        """
        if not self._kubelet.is_search_due:
            return False
        if self._kubelet.search(seconds):
            return True
        self.read_kubelet()
        return False

    def read_pods_file(self) -> PodsFile | None:
        """Return the file that kubelet hands to pods, as it is now."""
        kubelet = self.known.kubelet
        if kubelet is None:
            return None
        found = self._pods.read(kubelet.pods_file)
        return found if kubelet.step is None else replace(found, remedy=kubelet.step)

    def set_addresses(
        self, bound: frozenset[IPAddress] | None, listening: frozenset[IPAddress] | None
    ) -> None:
        """Take in the node's addresses and who listens there, None where nobody can tell."""
        self.known = replace(self.known, bound=bound, listening=listening)

    def set_pod_file(self, content: bytes) -> None:
        self.known = replace(self.known, pod_file=content)

    def record_touched(self, touched: Iterable[Path]) -> None:
        """Keep what was touched just now: it may tell who has written the file."""
        now = time.monotonic()
        kept = [touch for touch in self.known.touches if now - touch.at <= RECENT]
        kept += [FileTouch(str(path), now) for path in touched]
        self.known = replace(self.known, touches=tuple(kept[-_MOST_TOUCHES:]))

    def set_hold(self, hold: Hold | None) -> None:
        """Take in what an operator pins, None to release it; kept for the next daemon.

        :raises OSError: it can't be kept, and is not taken in.
        """
        if hold is None:
            self._paths.hold.unlink(missing_ok=True)
        else:
            atomic.write(self._paths.hold, holds.dump(hold))
        self.known = replace(self.known, hold=hold)

    def load_hold(self) -> str | None:
        """Take in what was pinned before this daemon started; return why that can't be read."""
        try:
            hold = holds.load(read_whole(self._paths.hold, _MOST_HOLD))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            return f"{self._paths.hold}: {reason}; nothing is held"
        self.known = replace(self.known, hold=hold)
        return None

    def end(self) -> None:
        """Take note that the guard ends with the next look; what is held the next daemon holds."""
        self.known = replace(self.known, hold=None, is_last=True)

    def fill(self, policy: Policy) -> Policy:
        """Return the operator's policy, with what kubelet says of its cluster."""
        return fill_policy(policy, self.known.kubelet)

    def observe(self, file: FileObservation, link_target: FileObservation | None) -> Observation:
        """Return everything there is to see now, but for what was asked."""
        known, resolved = self.known, self._resolved.read()
        return Observation(
            now=time.monotonic(),
            wall=time.time(),
            file=file,
            link_target=link_target,
            pod_file=known.pod_file,
            found=known.found if resolved is None else update_stubs(known.found, resolved),
            resolved=resolved,
            records=known.records,
            bound=known.bound,
            listening=known.listening,
            pods=self.read_pods_file(),
            pods_doubt=known.kubelet_doubt,
            hold=known.hold,
            touches=known.touches,
            is_last=known.is_last,
        )
