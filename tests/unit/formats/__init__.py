"""The parsers of other programs' files, against real samples of each."""
