"""``python -m canary_checks``: a check's Job, the same checks on a laptop, and the schema of a result."""

import sys

from canary_checks import cli

sys.exit(cli.main(sys.argv[1:]))
