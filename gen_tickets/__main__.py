"""python -m gen_tickets COMMAND ...: the command `gen_tickets`."""

import sys

from gen_tickets.cli import commands

if __name__ == "__main__":
    sys.exit(commands.main())
