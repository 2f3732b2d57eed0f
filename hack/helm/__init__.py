"""Helm, built from pinned modules, and what of the chart is generated."""
