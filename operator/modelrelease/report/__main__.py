"""``python -m modelrelease.report`` prints the JSON Schema of a report."""

import sys

from modelrelease.report import model

sys.stdout.write(model.schema_text())
