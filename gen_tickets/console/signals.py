"""Signals that stop a run: acknowledged at once, collected until everything is saved.

SIGINT (Ctrl-C), SIGTERM, SIGHUP (closed terminal) and SIGUSR1 (Slurm's warning before
the time limit).
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from gen_tickets.console import display

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Windows has only the first two
_GRACE_SECONDS = 2.0  # for Python to exit by itself after a second signal


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collects signals in a list instead of exiting; a second one of a kind exits.

    Ignored signals, such as SIGHUP under nohup, stay ignored. Signals belong to the
    main thread; other threads collect none.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {
        number: signal.getsignal(number) or signal.SIG_DFL
        for number in (getattr(signal, name, None) for name in _NAMES)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN
    }

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        with _answers(before):
            yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _answers(before: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Answers from a thread, since the main one may be compiling for a minute."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    outer = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_answer, args=(reader, set(before)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(outer)
        writer.close()
        thread.join()
        reader.close()


def _answer(reader: socket.socket, numbers: set[signal.Signals]) -> None:
    """Reads one byte per signal until the other end is closed."""
    seen: set[int] = set()
    while received := reader.recv(1):
        number = received[0]
        if number not in numbers:
            continue
        name = signal.Signals(number).name
        if number not in seen:
            seen.add(number)
            display.announce(f"{name}: saving, then stopping")
            continue
        reader.settimeout(_GRACE_SECONDS)
        with contextlib.suppress(TimeoutError):
            if not reader.recv(1):
                return  # the process ended in time
        display.stop()
        os._exit(128 + number)
