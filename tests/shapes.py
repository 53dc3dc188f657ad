"""Checks, in tests, that arguments and results are what their annotations say."""

from beartype import BeartypeConf, beartype

# An int is a float, as PEP 484 has it.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
