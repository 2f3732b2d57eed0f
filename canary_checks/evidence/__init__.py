"""The whole evidence of a check on a volume, where there is one: what a ConfigMap has no room for."""
