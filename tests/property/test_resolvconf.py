"""The text of resolv.conf: whatever the file says, guarding it loses nothing."""

import socket

from hypothesis import example, given
from hypothesis import strategies as st

from dnsguard.core.rewrite import prepare_repair_of
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress, inet_aton, parse_nameserver, plain
from property.text import (
    ADDRESSES,
    any_files,
    foreign_files,
    nameserver_lines,
    other_lines,
    servers,
    spellings,
)


def _others(content: bytes) -> list[bytes]:
    """Return the lines that name no nameserver, ours left out."""
    lines = content.split(b"\n")
    named = {server.line for server in resolvconf.read_nameservers(content)}
    ours = (guarded_resolvconf.ADDED, guarded_resolvconf.HELD)
    return [
        line for index, line in enumerate(lines) if index not in named and not line.startswith(ours)
    ]


@given(any_files())
def test_any_bytes_are_read(content: bytes) -> None:
    """Whatever stands in the file, every reading of it comes to an end and raises nothing."""
    found = resolvconf.read_nameservers(content)
    assert [server.line for server in found] == sorted({server.line for server in found})
    resolvconf.search_list(content)
    guarded_resolvconf.is_guarded(content)


@given(foreign_files(), servers(), st.booleans())
@example(b"options ndots:2\noptions ndots:2 rotate\noptions ndots:2\n", (), True)
@example(b"options rotate\noptions\n", (), True)
def test_unguarding_gives_back_every_byte(
    content: bytes,
    wanted: tuple[IPAddress, ...],
    is_in_order: bool,  # noqa: FBT001 -- drawn
) -> None:
    """What someone else wrote comes back byte for byte, whatever was wanted meanwhile."""
    guarded = guarded_resolvconf.guard(content, wanted, in_order=is_in_order)
    assert guarded_resolvconf.unguard(guarded) == content


@given(st.binary(max_size=200), servers(), st.booleans())
def test_unguarding_gives_back_noise(
    content: bytes,
    wanted: tuple[IPAddress, ...],
    is_in_order: bool,  # noqa: FBT001 -- drawn
) -> None:
    """Text that is no text comes back byte for byte as well."""
    content = guarded_resolvconf.unguard(content)
    guarded = guarded_resolvconf.guard(content, wanted, in_order=is_in_order)
    assert guarded_resolvconf.unguard(guarded) == content


@given(foreign_files(), servers())
def test_the_link_is_named_once_and_dropped_without_a_trace(
    content: bytes, wanted: tuple[IPAddress, ...]
) -> None:
    """Beside all that is guarded in the text."""
    guarded = guarded_resolvconf.guard(content, wanted)
    marked = guarded_resolvconf.mark_link(guarded, "../run/x")
    assert guarded_resolvconf.read_link_marker(marked) == "../run/x"
    assert marked == guarded_resolvconf.guard(content, wanted, "../run/x")
    assert guarded_resolvconf.mark_link(marked, "../run/y") == marked
    assert guarded_resolvconf.drop_link_marker(marked) == guarded
    assert guarded_resolvconf.unguard(marked) == content


@given(foreign_files(), servers())
def test_in_order_nobody_is_asked_in_turn(content: bytes, wanted: tuple[IPAddress, ...]) -> None:
    """No reader finds ``rotate``, and every other option stays where it was."""
    guarded = guarded_resolvconf.guard(content, wanted, in_order=True)
    assert not resolvconf.rotates(guarded)
    assert guarded_resolvconf.holds_rotate_back(guarded) is resolvconf.rotates(content)
    assert _options(guarded) == [word for word in _options(content) if word[:6] != b"rotate"]


def _options(content: bytes) -> list[bytes]:
    lines = [line.split() for line in content.split(b"\n")]
    return [word for line in lines if line[:1] == [b"options"] for word in line[1:]]


@given(any_files())
def test_unguarding_twice_is_unguarding_once(content: bytes) -> None:
    """A file without a line of ours is left alone."""
    once = guarded_resolvconf.unguard(content)
    assert guarded_resolvconf.unguard(once) == once
    assert not guarded_resolvconf.is_guarded(once)


@given(any_files(), servers(), servers())
def test_guarding_anew_starts_from_what_is_foreign(
    content: bytes, before: tuple[IPAddress, ...], wanted: tuple[IPAddress, ...]
) -> None:
    """The next wish leaves no trace of the one before."""
    foreign = guarded_resolvconf.unguard(content)
    then = guarded_resolvconf.guard(foreign, before)
    assert guarded_resolvconf.guard(
        guarded_resolvconf.unguard(then), wanted
    ) == guarded_resolvconf.guard(foreign, wanted)


@given(foreign_files(), servers())
def test_the_guarded_file_names_exactly_what_is_wanted(
    content: bytes, wanted: tuple[IPAddress, ...]
) -> None:
    """What glibc reads is what is wanted, in that order, and no other reader finds more."""
    named = resolvconf.read_nameservers(guarded_resolvconf.guard(content, wanted))
    assert tuple(server.address for server in named if server.glibc) == wanted
    assert {server.address for server in named} <= set(wanted)


@given(foreign_files(), servers())
def test_all_other_lines_stay(content: bytes, wanted: tuple[IPAddress, ...]) -> None:
    """What is no nameserver line stays as it is and where it is."""
    assert _others(guarded_resolvconf.guard(content, wanted)) == _others(content)


@given(foreign_files(), servers())
def test_a_foreign_line_that_fits_stays_in_place(
    content: bytes, wanted: tuple[IPAddress, ...]
) -> None:
    """A nameserver line is only ever commented out whole, never edited."""
    guarded = guarded_resolvconf.guard(content, wanted).split(b"\n")
    bare = {line.removeprefix(guarded_resolvconf.HELD) for line in guarded}
    assert set(content.split(b"\n")) <= bare


@given(st.text(alphabet="0123456789abcdefABCDEFxX.", max_size=24))
@example("0x")
@example("1.2.3.4.5")
@example("4294967296")
@example("1.2.65536")
@example("08")
@example("1" * 5000)
@example("0x" + "f" * 5000)
@example("0" * 5000)
def test_inet_aton_is_that_of_c(text: str) -> None:
    """An IPv4 address is read exactly where and as the C library reads it."""
    try:
        expected = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        expected = None
    found = inet_aton(text)
    assert (None if found is None else str(found)) == expected


@given(st.text(alphabet="0123456789abcdefABCDEF:.", max_size=45))
@example("::")
@example("1:2:3:4:5:6:7::")
@example("::1.2.3.04")
@example("1::2::3")
@example(":1:2:3:4:5:6:7")
def test_inet_pton_is_that_of_c(text: str) -> None:
    """An IPv6 address is read exactly where and as the C library reads it."""
    if ":" not in text:
        return
    try:
        expected = socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        expected = None
    found = parse_nameserver(text)
    assert (None if found is None else found.packed) == expected


@given(st.data())
def test_every_spelling_is_the_same_address(data: st.DataObject) -> None:
    """Decimal, octal, hexadecimal, short and mapped: one address in all of them."""
    address = data.draw(st.sampled_from(ADDRESSES))
    word = data.draw(spellings(address)).decode()
    found = parse_nameserver(word)
    assert found is not None
    assert plain(found) == address


@given(nameserver_lines(glibc_only=True))
def test_a_line_in_the_first_column_counts_for_glibc(line: bytes) -> None:
    """What glibc takes is marked as such."""
    (server,) = resolvconf.read_nameservers(line)
    assert server.glibc


@given(nameserver_lines(), st.sampled_from([b"#", b";", b"# ", b"; "]))
def test_a_comment_names_nobody(line: bytes, mark: bytes) -> None:
    """A nameserver behind a comment sign is none, for any reader."""
    assert resolvconf.read_nameservers(mark + line) == ()


_NAMES = st.lists(
    st.sampled_from(
        [
            "corp.example",
            "cluster.local",
            "svc.CLUSTER.local.",
            "mycluster.local",
            "local",
            "x" * 63,
        ]
    ),
    max_size=6,
)


@given(st.lists(st.sampled_from([b"options ", b"options", b"\t", b"\n", b"\0", b"a:1", b"\xff"])))
def test_options_of_any_bytes_are_words(pieces: list[bytes]) -> None:
    """Written down they read the same, and nothing else is read from them."""
    found = resolvconf.read_options(b"".join(pieces))
    made = resolvconf.write_pod_file((), (), found)
    assert resolvconf.read_options(made) == found
    assert made.count(b"\n") == 1 + bool(found)


@given(_NAMES)
def test_the_pod_file_can_be_read_back(names: list[str]) -> None:
    """The file for kubelet says what it was given, and no name of the cluster."""
    kept = resolvconf.drop_cluster_names(names, ".cluster.local.")
    content = resolvconf.write_pod_file(ADDRESSES[:3], kept)
    assert tuple(server.address for server in resolvconf.read_nameservers(content)) == ADDRESSES[:3]
    assert resolvconf.search_list(content) == kept
    assert kept == tuple(
        name for name in names if name not in ("cluster.local", "svc.CLUSTER.local.")
    )


@given(foreign_files(), servers(), *(st.lists(st.one_of(other_lines(), nameserver_lines())),) * 2)
def test_what_is_prepared_for_one_text_fits_every_text_that_it_is_taken_for(
    poisoned: bytes, wanted: tuple[IPAddress, ...], before: list[bytes], behind: list[bytes]
) -> None:
    """Or it is for none: the other text is read, and decided."""
    content = guarded_resolvconf.guard(poisoned, wanted)
    repair = prepare_repair_of(poisoned, content, wanted)
    assert repair.content_for(poisoned) == content
    text = b"\n".join([*before, repair.block or poisoned, *behind])
    repaired = repair.content_for(text)
    assert repaired in (None, guarded_resolvconf.guard(text, wanted))
    is_plain = repair.block and b"nameserver" not in b"".join([*before, *behind])
    assert repaired is not None or not is_plain or b"dnsguard" in text
