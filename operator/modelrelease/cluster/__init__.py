"""The only code that talks to Kubernetes: observe, act, events."""
