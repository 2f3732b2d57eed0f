"""The command line: the checks of a Job for people and CI, against URLs and without a cluster."""
