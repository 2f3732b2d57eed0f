"""The pure core: the life of a release, the planner, revisions and verdicts."""
