"""The options dhclient knows, by name and by the form of their value.

ISC's ``common/tables.c`` (4.4.3) as Debian 12 builds it. Those that have nothing to do
with DNS are there because an unknown name or a value of the wrong form makes dhclient
drop statements that come after it.
"""

import re

from dnsguard.formats.dhclient.tokens import NAMES, Kind, Tokens

SERVERS = "domain-name-servers"
SERVERS6 = "dhcp6.name-servers"
DOMAIN = "domain-name"
SEARCH = "domain-search"
SEARCH6 = "dhcp6.domain-search"
ROUTERS = "routers"
SERVER_ID = "dhcp-server-identifier"

ANY = "?"
"""The format of an option known by its code only: its value is not judged."""
_DHCP4 = {
    "B": """auto-config default-ip-ttl default-tcp-ttl dhcp-message-type dhcp-option-overload
        netbios-node-type""",
    "BA": "dhcp-parameter-request-list",
    "BB6Ia": "option-6rd",
    "BBB": "pxe-interface-id",
    "BBS": "v4-portparams",
    "BIID": "rdnss-selection",
    "BX": "pxe-client-id",
    "D": "bcms-controller-names",
    "Dc": "domain-search sip-ua-cs-domains",
    "E.": "vendor-encapsulated-options relay-agent-information fqdn nwip-suboptions vivco vivso",
    "I": """broadcast-address dhcp-requested-address dhcp-server-identifier
        router-solicitation-address subnet-mask subnet-selection swap-server""",
    "IA": """cookie-servers domain-name-servers finger-server font-servers ien116-name-servers
        impress-servers ipv4-address-andsf irc-server log-servers lpr-servers
        mobile-ip-home-agent nds-servers netbios-dd-server netbios-name-servers nis-servers
        nisplus-servers nntp-server ntp-servers pop-server resource-location-servers routers
        smtp-server streettalk-directory-assistance-server streettalk-server time-servers
        www-server x-display-manager""",
    "IIA": "policy-filter static-routes",
    "Ia": """associated-ip bcms-controller-address capwap-ac-v4 netinfo-server-address pana-agent
        tftp-server-address""",
    "L": """arp-cache-timeout client-last-transaction-time dhcp-lease-time dhcp-rebinding-time
        dhcp-renewal-time loader-reboottime path-mtu-aging-timeout tcp-keepalive-interval
        v6-only-preferred""",
    "S": "boot-size dhcp-max-message-size interface-mtu max-dgram-reassembly",
    "SA": "path-mtu-plateau-table",
    "Sa": "name-service-search pxe-system-type",
    "X": "dhcp-client-identifier geoconf-civic vendor-class-identifier",
    "d": "v4-access-domain v4-lost",
    "f": """all-subnets-local ieee802-3-encapsulation ip-forwarding mask-supplier
        non-local-source-routing perform-mask-discovery router-discovery
        tcp-keepalive-garbage trailer-encapsulation""",
    "fIa": "slp-directory-agent",
    "fto": "slp-service-scope",
    "l": "time-offset",
    "t": """bootfile-name default-url dhcp-message domain-name extensions-path host-name
        loader-configfile loader-pathprefix merit-dump nds-context nds-tree-name netbios-scope
        netinfo-server-tag nis-domain nisplus-domain nwip-domain pcode root-path tcode
        tftp-server-name uap-servers user-class v4-captive-portal""",
}
_DHCP6 = {
    "6": "unicast link-address",
    "6A": """bcms-server-a dhcp4-o-dhcp6-server ipv6-address-andsf lq-client-link name-servers
        nis-servers nisp-servers pana-agent sip-servers-addresses sntp-servers""",
    "6BD": "rdnss-selection",
    "6X": "lq-relay-data",
    "6a": "capwap-ac-v6",
    "B": "preference",
    "BBB": "nii",
    "D": "bcms-server-d domain-search nis-domain-name nisp-domain-name sip-servers-names sip-ua-cs-list",
    "E.": "fqdn vendor-opts",
    "L": "clt-time inf-max-rt solmax-rt",
    "N.": "reconf-msg",
    "N.to": "status-code",
    "S": "elapsed-time relay-source-port",
    "SA": "client-arch-type ero oro",
    "T": "info-refresh-time",
    "X": """bootfile-param client-data client-id client-linklayer-addr dhcpv4-msg geoconf-civic
        ia-addr ia-na ia-pd ia-prefix ia-ta interface-id lq-query relay-id relay-msg remote-id
        server-id subscriber-id user-class vendor-class""",
    "Z": "rapid-commit reconf-accept",
    "d": "aftr-name erp-local-domain-name v6-access-domain v6-lost",
    "t": "bootfile-url new-posix-timezone new-tzdb-timezone v6-captive-portal",
}
_OTHER = {
    "f": "fqdn.no-client-update fqdn.server-update fqdn.encoded nwip.nsq-broadcast nwip.nwip-1-1",
    "B": "fqdn.rcode1 fqdn.rcode2 nwip.autoretries nwip.autoretry-secs",
    "t": "fqdn.hostname fqdn.domainname fqdn.fqdn isc.media",
    "IA": "nwip.preferred-dss nwip.nearest-nwip-server",
    "I": "nwip.primary-dss",
    "X": "isc.update-assist vendor-class.isc",
    "E.": "vendor.isc",
}
FORMATS = {
    space + name: form
    for space, table in (("", _DHCP4), ("dhcp6.", _DHCP6), ("", _OTHER))
    for form, names in table.items()
    for name in names.split()
}
"""The option formats, in the letters of ``common/tables.c``."""
_SPACES = frozenset(
    {"dhcp", "dhcp6", "nwip", "fqdn", "vendor-class", "vendor", "isc", "vsio", "isc6", "fqdn6"}
)
_UNKNOWN = re.compile(r"(?:[-\w]+\.)?unknown-([0-9]*)", re.ASCII)
_BY_CODE = {
    "unknown-3": ROUTERS,
    "unknown-6": SERVERS,
    "unknown-15": DOMAIN,
    "unknown-54": SERVER_ID,
    "unknown-119": SEARCH,
    "dhcp6.unknown-23": SERVERS6,
    "dhcp6.unknown-24": SEARCH6,
}


class Names:
    """The names of options that a file may use: dhclient's own, and those it defines itself."""

    def __init__(self) -> None:
        self._own: dict[str, str] = {}
        self._spaces = set(_SPACES)

    def define(self, tokens: Tokens, name: str) -> None:
        """Take what follows ``option NAME code``; it may replace one of dhclient's own."""
        form = _read_definition(tokens)
        if form is not None:
            self._own[name] = form

    def add_space(self, space: str) -> None:
        self._spaces.add(space)

    def find_format(self, name: str | None) -> str | None:
        """Return the format of an option, None if dhclient doesn't know it."""
        if name is None:
            return None
        known = self._own.get(name) or FORMATS.get(name)
        if known is None and (unknown := _UNKNOWN.match(name)):
            # atoi(3), and codes that can't be: those of padding and of the end.
            return None if int(unknown[1][:9] or "0") in (0, 255) else ANY
        return known

    def read(self, tokens: Tokens, *, allocate: bool = False) -> str | None:
        """Take an option's name, or skip (``parse_option_name``, common/parse.c:1173).

        :param allocate: an unknown name is fine: it may be about to be defined.
        """
        token = tokens.take()
        if token.kind not in NAMES:
            tokens.fail(taken=token)
            return None
        name = token.word
        if tokens.peek().is_sign(b"."):
            tokens.take()
            token = tokens.take()
            if token.kind not in NAMES:
                tokens.fail(taken=token)
                return None
            if name not in self._spaces:
                tokens.fail()
                return None
            name = token.word if name == "dhcp" else f"{name}.{token.word}"
        name = _BY_CODE.get(name, name)
        if not allocate and self.find_format(name) is None:
            tokens.fail()
            return None
        return name


_TYPES = {
    "boolean": "f",
    "ip-address": "I",
    "ip6-address": "6",
    "domain-name": "d",
    "domain-list": "D",
    "text": "t",
    "string": "X",
    "zerolen": "Z",
}
_WIDTHS = {"8": "b", "16": "s", "32": "l"}


def _read_definition(tokens: Tokens) -> str | None:
    """Take ``NUMBER = [array of] TYPE;`` or a record of types in braces.

    The format, None after an error (``parse_option_code_definition``, common/parse.c:1537).
    """
    if tokens.take().kind is not Kind.NUMBER or not tokens.take().is_sign(b"="):
        tokens.fail()
        return None
    suffix = _read_array(tokens, "A")
    is_record = tokens.peek().is_sign(b"{")
    form = ""
    while True:
        if is_record:
            tokens.take()
        last = _read_array(tokens, "a") if is_record else ""
        letters = _read_type(tokens)
        if letters is None or (is_record and not tokens.peek().is_sign(b",}")):
            tokens.skip_to_brace(int(is_record))
            if is_record:
                tokens.skip_to_semi()
            return None
        form += letters + last
        if not is_record or tokens.peek().is_sign(b"}"):
            break
    if is_record:
        tokens.take()
    if not tokens.take_semi():
        tokens.fail()
        if is_record:
            tokens.skip_to_semi()
        return None
    return form + suffix


def _read_array(tokens: Tokens, letter: str) -> str:
    if tokens.peek().word != "array":
        return ""
    tokens.take()
    if tokens.peek().word == "of":
        tokens.take()
    return letter


def _read_type(tokens: Tokens) -> str | None:
    word = tokens.take().word
    if word == "encapsulate":
        return "E." if tokens.take().kind in NAMES else None
    if word == "domain-list" and tokens.peek().word == "compressed":
        tokens.take()
        return "Dc"
    if word not in ("signed", "unsigned", "integer"):
        return _TYPES.get(word)
    if word != "integer" and tokens.take().word != "integer":
        return None
    letter = _WIDTHS.get(tokens.take().word)
    return letter.upper() if letter is not None and word == "unsigned" else letter
