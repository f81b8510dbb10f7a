"""``dnsguard demo``: the incident, replayed in namespaces of its own."""


def demo() -> int:
    """Play the story on the terminal and return the exit status.

    :raises DnsguardError: this machine gives no namespaces, or something went otherwise
        than the story tells it.
    """
    # The nameservers' processes import this package too, and are to start fast.
    from dnsguard.demo import story  # noqa: PLC0415

    return story.play()
