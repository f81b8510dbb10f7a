"""Whether a unit is started at boot, from the files of systemd."""

from pathlib import Path

import pytest

from dnsguard.host import units
from dnsguard.host.units import State

UNIT = "dnsguard.service"
FILE = f"lib/systemd/system/{UNIT}"
WANTS = f"etc/systemd/system/sysinit.target.wants/{UNIT}"


@pytest.mark.parametrize(
    ("files", "links", "state"),
    [
        ([], {}, State.ABSENT),
        ([FILE], {}, State.DISABLED),
        ([FILE], {WANTS: f"/{FILE}"}, State.ENABLED),
        ([FILE], {WANTS: f"/{FILE}", f"etc/systemd/system/{UNIT}": "/dev/null"}, State.MASKED),
        ([FILE], {f"run/systemd/system/{UNIT}": "/dev/null"}, State.MASKED),
    ],
)
def test_a_unit_is_started_if_something_wants_it(
    tmp_path: Path, files: list[str], links: dict[str, str], state: State
) -> None:
    """A link in a directory of wants, unless it is masked."""
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("[Service]\n")
    for name, target in links.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(target)
    assert units.find_state(tmp_path, UNIT) is state
