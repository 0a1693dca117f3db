"""Two-choice questions: build the items, ask, read the answers."""
