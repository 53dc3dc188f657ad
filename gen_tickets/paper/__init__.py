"""The figures and tables of the paper, each from one command (`__main__`)."""
