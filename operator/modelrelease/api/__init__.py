"""What users write and read: the models of both kinds, their rules and their CRDs."""
