"""The decision: no I/O, no clock, no logger; a static test holds it to that."""
