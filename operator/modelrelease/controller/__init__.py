"""The shell: kopf handlers, one loop per release, settings, health and telemetry."""
