"""The training recipe and the loop that runs it."""
