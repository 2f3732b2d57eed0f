"""Tools for developing and testing ModelRelease; not part of the product."""
