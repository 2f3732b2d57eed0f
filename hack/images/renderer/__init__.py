"""An image generator without a model, whose mistakes can be chosen."""
