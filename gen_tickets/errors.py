"""The exceptions that speak to the user."""

import signal


class UserError(ValueError):
    """Bad input from the user, said in one line: the field, its value, what is allowed.

    The command line prints the message alone and ends with exit status 2; a bug in
    the package keeps its traceback, because it raises anything but this. What a file or
    a value brings along, line breaks and control characters, becomes blanks.
    """

    def __init__(self, message: str):
        super().__init__("".join(c if c.isprintable() else " " for c in message))


class Interrupted(Exception):
    """A signal asked to stop; everything is saved and the same command goes on."""

    def __init__(self, signal_number: int):
        name = signal.Signals(signal_number).name
        super().__init__(
            f"stopped by {name}; saved: the same command goes on from here"
        )
        self.exit_status = 130 if signal_number == signal.SIGINT else 0
