"""A real Argo CD beside the local cluster: built, started, tested against and ended."""
