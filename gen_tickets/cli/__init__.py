"""Command line: flags, experiment files, exit codes."""
