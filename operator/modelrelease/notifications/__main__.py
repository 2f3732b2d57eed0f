"""``python -m modelrelease.notifications``: the process that sends a message, and is gone after it."""

import sys

from modelrelease.notifications import delivery

if __name__ == "__main__":
    sys.exit(delivery.main(sys.stdin, sys.stdout))
