"""One compilation cache for all tests and workers; nothing else is shared."""

import os
import pathlib
import signal

from gen_tickets.cli import xla_flags

_CACHE = pathlib.Path(__file__).parent.parent / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Programs run for milliseconds here, so compile time matters most.
_FLAGS = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "true",
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
}

if "XLA_FLAGS" not in os.environ:  # Workers and processes of tests have it from here.
    xla_flags.add(_FLAGS)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# The same examples at every run, but for the long fuzz; no test depends on time.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("default" if "GEN_TICKETS_FUZZ" in os.environ else "same")

# Pure functions of arrays; checking all packages takes a fifth more time.
CHECKED = "kernels losses models pruning evaluation.distances evaluation.moments"
CHECKED += " evaluation.scores evaluation.sources data.pixels procedures.line"


def pytest_configure() -> None:
    """Checks the shapes in the hints of the `CHECKED` packages while the tests run."""
    import jaxtyping

    from tests import shape_checks  # imports JAX, which reads the variables above

    packages = [f"gen_tickets.{name}" for name in CHECKED.split()]
    jaxtyping.install_import_hook(packages, f"{shape_checks.__name__}.check")


@pytest.fixture(scope="module")
def library_convolutions():
    """Convolutions as on accelerators, which compile in a third of the time of the
    CPU's products, for tests of something else."""
    from gen_tickets.kernels import lowering

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowering, "choose", lambda platform=None: lowering.LIBRARY)
        yield


@pytest.fixture
def default_signal_handlers():
    """Signals are handled as in a terminal; a job in the background ignores some."""
    handlers = dict.fromkeys(
        (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1), signal.SIG_DFL
    )
    handlers[signal.SIGINT] = signal.default_int_handler
    before = {number: signal.signal(number, x) for number, x in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def registries_restored():
    """Takes away again what a test adds to the registries."""
    from gen_tickets.config import registries
    from gen_tickets.config.registry import Registry

    found = [x for x in vars(registries).values() if isinstance(x, Registry)]
    before = [set(registry.names()) for registry in found]
    yield
    for registry, names in zip(found, before):
        for name in set(registry.names()) - names:
            del registry._entries[name], registry._summaries[name]
