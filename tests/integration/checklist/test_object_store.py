"""The first login of MinIO, tried with a signed request against a real S3 server (rclone's, under MinIO's login)."""

from __future__ import annotations

from pathlib import Path

import pytest
from s3_server import S3

from havre.workflows.live.doors import DOORS


@pytest.mark.parametrize(("key", "secret", "is_open"), [
    ("minioadmin", "minioadmin", True),
    ("minioadmin", "another-secret", False),
    ("somebody", "minioadmin", False),
])  # fmt: skip
def test_only_the_first_login_of_an_object_store_opens_it(tmp_path: Path, key: str, secret: str, is_open: bool) -> None:
    store = S3(tmp_path, key=key, secret=secret)
    store.start()
    try:
        (door,) = DOORS["minio"]
        assert door.knock("127.0.0.1", store.port) is is_open
    finally:
        store.kill()
