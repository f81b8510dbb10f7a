"""ISC dhclient's files, read the way dhclient 4.4.3 reads them, mistakes included.

Names and lines of C functions are those of ISC's sources of 4.4.3-P1, lines of
/sbin/dhclient-script those of Debian 12's isc-dhcp-client 4.4.3-P1-2.

    tokens values expressions options   the words of dhclient.conf(5), and option values
    conf settings executable statements dhclient.conf(5): reading it, and what it says
    leases                              dhclient.leases(5)
    records                             what our enter hook writes down
    script                              dhclient-script(8) itself: what it makes of resolv.conf
    shell rehearsal                     hooks as shell scripts, and what they would leave
    hooks                               what can be told of a hook without following it
    files protection hazards            all files of a node, and what is dangerous in them
    offer                               what the server said, found under what dhclient made of it
"""
