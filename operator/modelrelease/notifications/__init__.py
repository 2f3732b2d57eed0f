"""Tells people of transitions, by whatever apprise can reach: once each, never in a turn's way."""
