"""Feature extractors: Inception-v3 and the classifier of a data set."""
