"""The real inotify."""
