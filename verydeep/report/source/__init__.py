"""The same network as plain source of a framework: one file for each, and `written` for what they share."""
