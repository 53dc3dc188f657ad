"""How good the samples and reconstructions of a network are."""
