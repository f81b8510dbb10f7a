"""As much of sh(1) as hooks of dhclient-script(8) use: its words, and its commands as a tree."""
