"""Exceptions whose messages are meant for users."""

import signal


class UserError(ValueError):
    """Invalid input: which field, what is wrong with it, and what to do about it.

    The command line prints only the message and exits with status 2; a bug in the
    package raises other exceptions and keeps its traceback.

    Attributes:
      field: the option, file or argument, with its value if useful, such as
        "data.batch_size=0".
      problem: what is wrong, such as "must be at least 1".
      remedy: what to do about it; "" if that is clear from the problem.
    """

    def __init__(self, field: object, problem: str, remedy: str = ""):
        self.field, self.problem, self.remedy = str(field), problem, remedy
        super().__init__(self.field, problem, remedy)

    @property
    def option(self) -> str:
        """The field without its value: "data.batch_size" of "data.batch_size=0"."""
        return self.field.partition("=")[0]

    def __str__(self) -> str:
        message = f"{self.field}: {self.problem}"
        message += f"; {self.remedy}" if self.remedy else ""
        # A file name or a value may contain line breaks and control characters.
        return "".join(c if c.isprintable() else " " for c in message)


class Damaged(UserError):
    """A file was read completely, but its checksum or structure is wrong.

    A file that cannot be read may be intact, and raises a plain `UserError`.
    """


class LostProcess(UserError):
    """Another process of the experiment was killed, or cannot be reached any more.

    The command line ends at once: at exit JAX would wait for that process, then abort.
    """


class Interrupted(Exception):
    """A signal stopped the run; everything is saved, the same command resumes it."""

    def __init__(self, signal_number: int):
        name = signal.Signals(signal_number).name
        super().__init__(
            f"stopped by {name}; all is saved: run the same command to continue"
        )
        self.exit_status = 130 if signal_number == signal.SIGINT else 0
