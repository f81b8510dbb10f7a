"""What an operator types, against the real daemon."""
