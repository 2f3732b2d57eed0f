"""The documentation as a site: what mkdocs cannot do by itself."""
