"""The health check of the web container: exit code 0 when /readyz says that the system is ready."""

import http.client
import os
import sys

host = os.environ["ALLOWED_HOSTS"].split(",")[0].strip()
connection = http.client.HTTPConnection("127.0.0.1:8000", timeout=5)
try:
    connection.request("GET", "/readyz", headers={"Host": host})
    sys.exit(0 if connection.getresponse().status == 200 else 1)
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"not ready: {error}")
