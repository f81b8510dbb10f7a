"""Whatever is in the file or beside it, somebody of the known names is said."""

from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.attribution import FileTouch, attribute
from dnsguard.formats.writers import NAMES
from property.text import foreign_files

texts = st.one_of(st.binary(max_size=200), foreign_files())
traces = st.lists(st.builds(FileTouch, st.text(), st.floats(0, 200)), max_size=5)


@given(content=texts, before=texts, touched=traces)
def test_any_bytes_have_a_writer(content: bytes, before: bytes, touched: list[FileTouch]) -> None:
    """It never raises, and its name is a bounded label."""
    writer = attribute(content, before, touched, 100.0)
    assert writer.name in NAMES
    assert writer.evidence.isprintable()
