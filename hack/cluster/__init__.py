"""A local Kubernetes cluster for development, demonstrations and tests."""
