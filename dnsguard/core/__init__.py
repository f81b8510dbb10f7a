"""The pure core: no I/O, no clock, no logger; a static test holds the border."""
