"""A trained network leaves for other programs: exports that are checked after writing, and smaller numbers."""
