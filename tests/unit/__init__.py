"""Fast tests: one part each, no process, no network."""
