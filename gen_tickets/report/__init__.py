"""Figures, verdicts and pages drawn from a workdir's files."""
