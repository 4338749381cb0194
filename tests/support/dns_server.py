"""A real DNS server on loopback that says what a test tells it."""

from __future__ import annotations

import contextlib
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class Zone:
    """Answers A for `names`; any other name does not exist. May be changed while it serves."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                asked, visitor = self._socket.recvfrom(4096)
            except OSError:
                return
            if not asked:
                return
            self._socket.sendto(self._answer(asked), visitor)

    def _answer(self, asked: bytes) -> bytes:
        query = dns.message.from_wire(asked)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True)
        if name not in self.names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype.name == "A":
            answer.answer.append(dns.rrset.from_text(question.name, 1, "IN", "A", self.names[name]))
        return answer.to_wire()
