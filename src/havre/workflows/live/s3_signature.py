"""Signs a request that lists the buckets of an S3 server (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from havre.host import clock

REGION = "us-east-1"
"""What servers of one's own take for theirs unless they are told otherwise."""

_NO_BODY = hashlib.sha256(b"").hexdigest()


def signed(*, host: str, key: str, secret: str, at: float) -> Mapping[str, str]:
    """The headers of `GET /` at `host` (with its port) that prove the secret, at a time in seconds since the epoch."""
    day, _, time = clock.stamp(at).partition("-")
    moment, scope = f"{day}T{time}Z", f"{day}/{REGION}/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"GET\n/\n\nhost:{host}\nx-amz-content-sha256:{_NO_BODY}\nx-amz-date:{moment}\n\n{names}\n{_NO_BODY}"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    derived = f"AWS4{secret}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        derived = hmac.digest(derived, part.encode(), "sha256")
    signature = hmac.digest(derived, to_sign.encode(), "sha256").hex()
    return {
        "x-amz-date": moment,
        "x-amz-content-sha256": _NO_BODY,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}",
    }
