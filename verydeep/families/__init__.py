"""Networks as data, one file for each paper; `catalog` finds them by any of their names."""
