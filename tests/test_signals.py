"""Signals that ask a run to stop, and output that nobody reads."""

import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from gen_tickets.console import display, signals

pytestmark = pytest.mark.usefixtures("default_signal_handlers")

ROOT = pathlib.Path(__file__).parents[1]
STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]


@pytest.fixture
def announced(monkeypatch):
    """What is said at once, and an event that something was."""
    said, happened = [], threading.Event()

    def announce(notice):
        said.append(notice)
        happened.set()

    monkeypatch.setattr(display, "announce", announce)
    return said, happened


@pytest.mark.parametrize("number", STOPPING)
def test_stop_signals_one_is_collected_and_answered_and_handlers_come_back(
    number, announced
):
    before = signal.getsignal(number)
    said, happened = announced
    with signals.stop_signals() as received:
        signal.raise_signal(number)
        assert happened.wait(10)
        assert received == [number]
    assert said == [f"{signal.Signals(number).name}: saving, then stopping"]
    assert signal.getsignal(number) == before


def test_stop_signals_a_second_ctrl_c_is_python_s_own(announced):
    with pytest.raises(KeyboardInterrupt), signals.stop_signals() as received:
        signal.raise_signal(signal.SIGINT)
        assert received == [signal.SIGINT]
        signal.raise_signal(signal.SIGINT)


def test_stop_signals_under_nohup_leaves_sighup_ignored(announced):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.stop_signals() as received:
            signal.raise_signal(signal.SIGHUP)
            assert received == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_stop_signals_in_a_thread_collects_none():
    found = []

    def work():
        with signals.stop_signals() as received:
            found.append(received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [[]]


def run(program, **options):
    words = [sys.executable, "-c", program]
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, **options)


def test_outlast_readers_a_closed_pipe_ends_nothing():
    program = (
        "from gen_tickets.cli import streams; import sys\n"
        "streams.outlast_readers()\n"
        "for i in range(99_999): print('line', i)\n"
        "print('end', file=sys.stderr); sys.exit(7)\n"
    )
    process = run(program, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"end\n"
    process.stderr.close()
    assert process.wait() == 7


def test_outlast_readers_in_an_ascii_locale_writes_what_it_can():
    program = (
        "from gen_tickets.cli import streams\n"
        "streams.outlast_readers()\n"
        "print('1 \\u00b1 2')\n"
    )
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    process = run(program, stdout=subprocess.PIPE, env=environment)
    out, err = process.communicate()
    assert (out, err) == (b"1 \\xb1 2\n", b"")
