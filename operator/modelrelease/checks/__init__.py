"""Renders check Jobs, reads their results and keeps the evidence."""
