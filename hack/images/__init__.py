"""Build the images of the project and of its demo, and push them to the local cluster's registry."""

from hack.images.build import ensure_image, ensure_images

__all__ = ["ensure_image", "ensure_images"]
