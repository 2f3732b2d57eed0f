"""A CLIP-type model for the model server, and the mistakes that a team can make with its folder."""
