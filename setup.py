"""Packages of the wheel: gen_tickets, and the experiment files as a package in it."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["gen_tickets*"]), "gen_tickets.experiments"])
