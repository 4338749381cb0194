"""A real S3 server on this machine, which can be killed."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from data_tools import rclone

KEY, SECRET = "havretest", "havretestsecret"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


class S3:
    """`rclone serve s3` over a directory; `bandwidth` slows it so that there is a middle to kill it in."""

    def __init__(self, directory: Path, *, key: str = KEY, secret: str = SECRET) -> None:
        self.directory, self.login = directory, f"{key},{secret}"
        (directory / "backups").mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"s3:http://127.0.0.1:{self.port}/backups/repo"

    def start(self, *, bandwidth: str | None = None) -> None:
        limit = [f"--bwlimit={bandwidth}"] if bandwidth else []
        self.process = subprocess.Popen(
            [rclone(), "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--auth-key", self.login, *limit,
             "--config", "/dev/null", str(self.directory)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError("rclone did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
