"""The life of a network in training: recipe, loop, checkpoint, record (PyTorch only)."""
