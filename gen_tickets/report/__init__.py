"""Reports: figures, verdicts and pages made from the files of a workdir."""
