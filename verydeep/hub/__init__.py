"""Models given to others and taken from them through a hub as huggingface.co is one, only when asked."""
