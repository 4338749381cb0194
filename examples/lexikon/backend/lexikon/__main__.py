"""Start the server: `python -m lexikon`, in a container or straight from the source tree."""

import signal
import sys

import uvicorn

from lexikon.logs import LOGGING
from lexikon.settings import load


def main() -> None:
    """Serve until SIGTERM, then finish the requests under way (for up to 20 s) and stop."""
    settings = load()
    # uvicorn takes this signal over while it serves, and raises it again once all is finished: that is an orderly end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "lexikon.app:app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=LOGGING,
        access_log=False,  # lexikon.app writes one line per request, with the request id
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=20,
    )


if __name__ == "__main__":
    main()
