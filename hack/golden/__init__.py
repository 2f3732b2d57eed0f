"""How the golden sets that ship with the package were made."""
