"""What decides a training run: one typed record, the recipes that fill it, and where a user's own values come from."""
