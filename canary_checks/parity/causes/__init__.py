"""How causes show, by family: each gives what contradicts it and how it is recognised."""
