"""One of two processes of a tiny experiment; run by test_hosts.

python tests/pair.py PORT PROCESS WORKDIR
"""

import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"

from test_lottery import configure, run  # noqa: E402

from gen_tickets.distributed import processes  # noqa: E402

# One member has its batches divided, the two of a pruned round are divided themselves:
# (data, member) = (2, 1) and (1, 2).
OPTIONS = {"runs": 1, "train__steps": 20, "eval__every_steps": 10, "prune__rounds": 1}


def main(port, process, workdir):
    config = configure(**OPTIONS)
    config.parallel.coordinator = f"localhost:{port}"
    config.parallel.processes, config.parallel.process = 2, int(process)
    processes.start(config.parallel)
    run(workdir, **OPTIONS)


if __name__ == "__main__":
    main(*sys.argv[1:])
