"""The real dhclient decides whether ours is a reading of its files."""
