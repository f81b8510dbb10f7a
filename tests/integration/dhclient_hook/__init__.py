"""Our enter hook in the hands of the real dhclient and the real dhclient-script."""
