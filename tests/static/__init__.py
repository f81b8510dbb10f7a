"""The tree itself: borders between modules, lint, types."""
