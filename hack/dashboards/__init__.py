"""The Grafana dashboards as code: ``python -m hack.dashboards`` writes manifests/grafana."""
