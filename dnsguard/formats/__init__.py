"""What other programs' files and a DHCP server's replies say about nameservers: pure parsers."""
