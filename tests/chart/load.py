"""What users of the Service see: one new connection after the other, for as long as this runs.

It runs in a pod of the `checks` image, with nothing but the standard library. Each line says how many
requests were sent, and how many of them failed.
"""

import http.client
import json
import sys
import time

host, sent, failed = sys.argv[1], 0, 0
while True:
    sent += 1
    try:
        connection = http.client.HTTPConnection(host, 80, timeout=5)
        connection.request("GET", "/whoami")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        said = "" if answer.status == 200 else f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        said = repr(error)
    if said:
        failed += 1
        sys.stderr.write(f"request {sent} failed: {said}\n")
    if sent % 10 == 0:
        sys.stdout.write(json.dumps({"sent": sent, "failed": failed}) + "\n")
        sys.stdout.flush()
    time.sleep(0.05)
