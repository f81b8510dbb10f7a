"""``dnsguard doctor`` before real CoreDNS processes."""
