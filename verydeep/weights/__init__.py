"""Arrays and where they come from: canonical names are the spec's (`conv1_1.weight`), axes are OIHW."""
