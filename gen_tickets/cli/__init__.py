"""Command line: flags, experiments found by name, exit codes."""
