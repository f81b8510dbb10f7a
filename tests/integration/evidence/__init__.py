"""What counts as a real upstream: servers that are, seem, or are not."""
