"""What a model states about itself, by named fields: preprocessing, environment, files, its API."""
