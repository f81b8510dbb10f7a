"""Hooks: whether a script writes to resolv.conf."""

import pytest

from dnsguard.formats.dhclient import hooks

KUBESPRAY = rb"""#!/bin/sh
#
# Prepend resolver options to /etc/resolv.conf after dhclient`
# regenerates the file. See man (5) resolver for more details.
#
if [ $reason = "BOUND" ]; then
  if [ -n "$new_domain_search" -o -n "$new_domain_name_servers" ]; then
    RESOLV_CONF=$(cat /etc/resolv.conf | sed -r '/^options (timeout|attempts|ndots).*$/d')
    OPTIONS="options timeout:2 attempts:2 ndots:2"

    printf "%b\n" "$RESOLV_CONF\n$OPTIONS" > /etc/resolv.conf
  fi
fi
"""
DEBIAN = rb"""
make_resolv_conf() {
    local new_resolv_conf
    if [ -n "$new_domain_name_servers" ]; then
        resolv_conf=$(readlink -f "/etc/resolv.conf" 2>/dev/null) ||
            resolv_conf="/etc/resolv.conf"
        new_resolv_conf="${resolv_conf}.dhclient-new.$$"
        rm -f $new_resolv_conf
        echo "search ${new_domain_search}" >> $new_resolv_conf
        sed -n /^\w*[Nn][Aa][Mm][Ee]/p $resolv_conf >>$new_resolv_conf
        chown --reference=$resolv_conf $new_resolv_conf
        cat $new_resolv_conf > $resolv_conf
        rm -f $new_resolv_conf
    fi
}
"""
"""The heart of dhclient-script 4.4.3-P1-2."""
RESOLVED = b"""
if [ -x /lib/systemd/systemd-resolved ] ; then
    make_resolv_conf() {
        statedir=/run/systemd/resolved.conf.d
        printf '[Resolve]\\nDNS=%s\\n' "$new_domain_name_servers" >"$statedir/isc-dhcp-v4.conf"
        systemctl try-reload-or-restart systemd-resolved.service
    }
fi
"""


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        (KUBESPRAY, (11,)),
        (DEBIAN, (12,)),
        (RESOLVED, ()),
        (b"make_resolv_conf() { :; }\n", ()),
        (b"make_resolv_conf\n", (1,)),
        (b"make_resolv_conf() { :; }\nmake_resolv_conf\n", ()),
        (b"echo 1 >>/etc/resolv.conf", (1,)),
        (b"echo 1 >| '/etc/resolv.conf'", (1,)),
        (b"exec 3<>/etc/resolv.conf", (1,)),
        (b"{ echo 1; echo 2; } > /etc/resolv.conf 2>/dev/null", (1,)),
        (b"cat >/etc/resolv.conf <<EOF\nnameserver 1.1.1.1\nEOF\necho", (1,)),
        (b"cat <<EOF >/tmp/x\necho > /etc/resolv.conf\nEOF\n", ()),
        (b"cat <<-'E O'>/tmp/x\n> /etc/resolv.conf\n\tE O\n> /etc/resolv.conf", (4,)),
        (b"cat <<< x > /etc/resolv.conf", (1,)),
        (b"a && echo 1 | sudo tee -a /etc/resolv.conf >/dev/null", (1,)),
        (b"sed -i 's/x/y/' /etc/resolv.conf", (1,)),
        (b"/bin/sed -r -i.bak -e x /etc/resolv.conf", (1,)),
        (b"sed -n p /etc/resolv.conf", ()),
        (b"perl -pi -e s/x/y/ /etc/resolv.conf", (1,)),
        (b"cp /tmp/new /etc/resolv.conf", (1,)),
        (b"cp /etc/resolv.conf /tmp/old", ()),
        (b"cp /etc/resolv.conf /var/spool/postfix/etc/resolv.conf", ()),
        (b"mv -f $tmp /etc/resolv.conf", (1,)),
        (b"ln -sfn ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf", (1,)),
        (b"if true; then rm -f /etc/resolv.conf; fi", (1,)),
        (b"dd if=/tmp/x of=/etc/resolv.conf", (1,)),
        (b"resolvconf -a eth0.dhclient", (1,)),
        (b"/sbin/resolvconf -d eth0.dhclient", ()),
        (b'R=/etc/resolv.conf\necho > "$R"', (2,)),
        (b"local R=/etc/resolv.conf; echo > ${R}", (1,)),
        (b"R=`readlink -f /etc/resolv.conf`\necho > $R", (2,)),
        (b'R="$(realpath /etc/resolv.conf)"\necho > $R', (2,)),
        (b"R=$(cat /etc/resolv.conf)\necho $R > /tmp/x", ()),
        (b"echo > ${R:-/etc/resolv.conf}", (1,)),
        (b"echo > $ROOT/etc/resolv.conf", (1,)),
        (b"cd /etc && echo > resolv.conf", (1,)),
        (b"x=$(echo > /etc/resolv.conf)", (1,)),
        (b"echo \\\n > \\\n /etc/resolv.conf", (3,)),
        (b"# echo > /etc/resolv.conf", ()),
        (b"echo '> /etc/resolv.conf'", ()),
        (b"echo x#> /etc/resolv.conf", (1,)),
        (b"cat < /etc/resolv.conf 2>&1", ()),
        (b"chown root /etc/resolv.conf.new > /dev/null", ()),
        (b"", ()),
    ],
)
def test_a_write_is_found(script: bytes, lines: tuple[int, ...]) -> None:
    """By its line; reading the file, and writing others, is no write."""
    assert tuple(sorted({write.line for write in hooks.find_writes(script)})) == lines


def test_a_write_says_how() -> None:
    """For the one who is to find it in the file."""
    script = b"sed -i s/a/b/ /etc/resolv.conf; echo > /etc/resolv.conf"
    assert hooks.find_writes(script) == (hooks.Write(1, "sed -i"), hooks.Write(1, ">"))
