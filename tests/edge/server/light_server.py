"""A server that can say that it is well, and no more: for what does not need a model. Fast to start."""

import json
import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    """Answers /health."""

    def do_GET(self) -> None:
        """After LIGHT_LOADING seconds all is well."""
        loading = time.monotonic() - BEGAN < float(os.environ.get("LIGHT_LOADING", "0"))
        data = json.dumps({"status": "loading" if loading else "ok"}).encode()
        self.send_response(503 if loading else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        """A Unix socket has no name of the other side."""
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


BEGAN = time.monotonic()
if "LIGHT_FAIL" in os.environ:
    print("one line\nerror: failed to open the model\nand a last line", file=sys.stderr)
    sys.exit(3)
# More than a pipe holds: who does not read it would wait here for ever.
print("noise " * 40000, file=sys.stderr, flush=True)
with socketserver.UnixStreamServer(sys.argv[sys.argv.index("--host") + 1], Handler) as server:
    server.serve_forever()
