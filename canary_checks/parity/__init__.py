"""Paired comparison of embeddings: distances, numeric classes, references and the diagnosis."""
