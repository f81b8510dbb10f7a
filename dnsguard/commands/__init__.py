"""The commands: a file each, called like the command."""
