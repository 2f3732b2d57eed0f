"""How causes show inside a generator, by the place where they act."""
