"""An image generator with a real pipeline of diffusers, whose settings change as teams change them."""
