"""Sends spans to an OpenTelemetry collector, where an installation has one."""
