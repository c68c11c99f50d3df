"""The rows of the flag table, topic by topic. A new flag is a new row."""
