"""The real daemon against real writers, links, nameservers and bad input."""
