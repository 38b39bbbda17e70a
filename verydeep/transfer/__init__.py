"""Features of a trained network for other data sets (arXiv:1409.1556, appendix B)."""
