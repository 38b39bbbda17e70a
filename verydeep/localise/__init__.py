"""Where the object is: a network that ends in a box, its training, its tests and its data (arXiv:1409.1556, A)."""
