"""Whether a generator's images still show what their prompts ask for."""
