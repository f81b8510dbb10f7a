"""Real daemon, netlink, inotify and DNS in private namespaces."""
