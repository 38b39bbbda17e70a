"""Networks made from networks: dense, deeper, folded, cut short; and the same for their weights."""
