"""The report of one run: a pure model of what is recorded, and its page, its text and its JSON."""
