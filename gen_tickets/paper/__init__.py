"""Reproduction of the paper's figures and tables, one command each (`__main__`)."""
