"""``python -m modelrelease.cli.mrel``: the plugin, without being installed as ``kubectl-mrel``."""

import modelrelease.cli.mrel.main as plugin

if __name__ == "__main__":
    plugin.main()
