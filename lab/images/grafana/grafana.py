"""In the place of Grafana: its port, variables, dashboards' directory, and the API paths that show them."""

from __future__ import annotations

import base64
import hmac
import http.server
import json
import os
import signal
from pathlib import Path

DASHBOARDS = Path("/var/lib/grafana/dashboards")
ADMIN = f"{os.environ.get('GF_SECURITY_ADMIN_USER', 'admin')}:{os.environ.get('GF_SECURITY_ADMIN_PASSWORD', 'admin')}"
ANONYMOUS = os.environ.get("GF_AUTH_ANONYMOUS_ENABLED", "false").lower() == "true"
FOUND = [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]


class Handler(http.server.BaseHTTPRequestHandler):
    """Who asks decides: nobody, an anonymous viewer, or the administrator by basic authentication."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/health":
            return self.reply(200, {"database": "ok", "standin": True})
        role = self.role()
        if role is None:
            return self.reply(401, {"message": "Unauthorized"})
        if path == "/api/search":
            return self.reply(200, [{"title": one["title"], "type": "dash-db"} for one in FOUND])
        if path == "/api/admin/settings":
            return (
                self.reply(200, {"role": role})
                if role == "Admin"
                else self.reply(403, {"message": "Permission denied"})
            )
        return self.reply(404, {"message": "Not found"})

    def role(self) -> str | None:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            right = hmac.compare_digest(given.encode(), base64.b64encode(ADMIN.encode()))
            return "Admin" if right else None
        return "Viewer" if ANONYMOUS else None

    def reply(self, status: int, body: object) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer(
    ("0.0.0.0", int(os.environ.get("GF_SERVER_HTTP_PORT", "3000"))), Handler
).serve_forever()
