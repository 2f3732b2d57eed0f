"""``python -m canary_checks``: a check's Job, an artifact's verification, and the commands for people."""

import sys

from canary_checks import entry

sys.exit(entry.main(sys.argv[1:]))
