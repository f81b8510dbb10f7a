"""ISC dhclient's files, read the way dhclient 4.4.3 reads them, mistakes included."""
