"""dhclient and a DHCP server, once for a module."""

from collections.abc import Iterator

import pytest
from lab.dhcp import network
from lab.dnsmasq import Server

from integration.dhclient_oracle.client import Client, Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("dhclient")
    with network() as (node, other):
        server = Server(other, directory)
        try:
            yield Lab(server, Client(node, directory), node)
        finally:
            server.stop()
