"""VGGNet done completely: one description of a network, from which everything is derived."""
