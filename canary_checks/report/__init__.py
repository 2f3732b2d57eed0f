"""Results for people and for other programs, rendered from nothing but the JSON of results."""
