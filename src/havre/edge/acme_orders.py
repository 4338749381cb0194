"""Speak ACME: one account per server, one order per certificate, proven by HTTP-01 or by a DNS-01 hook.

HTTP-01 needs no state: the edge answers every challenge from the account's thumbprint. The libraries are loaded
only when a certificate is really ordered.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from havre.edge import x509
from havre.errors import FailedError, HavreError, Problem, UnavailableError
from havre.host import clock
from havre.host.commands import run
from havre.host.files import write_atomic

if TYPE_CHECKING:
    from acme.client import ClientNetwork, ClientV2
    from acme.messages import AuthorizationResource, ChallengeBody, OrderResource
    from josepy.jwk import JWKRSA

_ORDER_LIMIT = 90.0
_HOOK_LIMIT = 180.0
_NONCES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The server's account: its key (JWK, JSON) and where the directory registered it."""

    key: str
    directory: str
    uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Whom to ask, and how: `directory` is ACME's entry point, `ca_file` makes it trusted when it is private."""

    directory: str
    email: str | None
    account_file: Path
    ca_file: str | None = None

    def thumbprint(self) -> str:
        """What HTTP-01 answers end in; makes the account's key when there is none."""
        from josepy.b64 import b64encode

        return b64encode(_key(self._account()).thumbprint()).decode()

    def order(self, names: Sequence[str], *, dns_hook: str | None) -> bytes:
        """A new certificate for `names`: chain and key in one PEM. Raises HavreError that names the host at fault."""
        with _translated(names):
            client, key = self._client()
            return _ordered(client, key, names, dns_hook)

    def _account(self) -> Account:
        if self.account_file.exists():
            account = msgspec.json.decode(self.account_file.read_bytes(), type=Account)
            if account.directory == self.directory:
                return account
            return self._save(Account(key=account.key, directory=self.directory))
        return self._save(Account(key=_new_key(), directory=self.directory))

    def _save(self, account: Account) -> Account:
        write_atomic(self.account_file, msgspec.json.encode(account), mode=0o600)
        return account

    def _client(self) -> tuple[ClientV2, JWKRSA]:
        from acme import client, errors, messages

        account = self._account()
        key = _key(account)
        verify: Any = self.ca_file or True
        network = _network(key, verify)
        connected = client.ClientV2(client.ClientV2.get_directory(self.directory, network), network)
        if account.uri is None:
            wish = messages.NewRegistration.from_data(email=self.email, terms_of_service_agreed=True)
            try:
                uri = connected.new_account(wish).uri
            except errors.ConflictError as conflict:
                uri = conflict.location
            account = self._save(Account(key=account.key, directory=self.directory, uri=uri))
        network.account = messages.RegistrationResource(uri=account.uri, body=messages.Registration())
        return connected, key


def _network(key: JWKRSA, verify: Any) -> ClientNetwork:
    """The library asks a second time after a refused nonce (RFC 8555, 6.5); a busy server refuses several in a row."""
    from acme import client, messages

    class Network(client.ClientNetwork):
        def post(self, *arguments: Any, **options: Any) -> Any:
            for _ in range(_NONCES):
                try:
                    return super().post(*arguments, **options)
                except messages.Error as refused:
                    if refused.code != "badNonce":
                        raise
            return super().post(*arguments, **options)

    return Network(key, user_agent="havre", verify_ssl=verify, timeout=30)


def _ordered(client: ClientV2, key: JWKRSA, names: Sequence[str], dns_hook: str | None) -> bytes:
    from acme import crypto_util

    private = x509.new_key_pem()
    order = client.new_order(crypto_util.make_csr(private, list(names)))
    with ExitStack() as proofs:
        for authorization in order.authorizations:
            _answer(client, key, authorization, dns_hook, proofs)
        finished = client.poll_and_finalize(order, _local_deadline())
    return x509.joined(_chain(finished), private)


def _answer(
    client: ClientV2, key: JWKRSA, authorization: AuthorizationResource, dns_hook: str | None, proofs: ExitStack
) -> None:
    """Offer the proof that fits; names proven before need none."""
    from acme import challenges, messages

    if authorization.body.status == messages.STATUS_VALID:
        return
    kind = challenges.DNS01 if dns_hook else challenges.HTTP01
    offered: list[ChallengeBody] = [one for one in authorization.body.challenges if isinstance(one.chall, kind)]
    name = authorization.body.identifier.value
    if not offered:
        raise FailedError(_needs_dns(name))
    if dns_hook:
        value = offered[0].chall.validation(key)
        proofs.enter_context(_dns_record(dns_hook, f"_acme-challenge.{name}", value))
    client.answer_challenge(offered[0], offered[0].chall.response(key))


@contextmanager
def _dns_record(hook: str, name: str, value: str) -> Iterator[None]:
    """The TXT record, for as long as the authority needs it: `HOOK add NAME VALUE`, later `HOOK remove NAME VALUE`."""
    command = shlex.split(hook)
    run([*command, "add", name, value], timeout=_HOOK_LIMIT)
    try:
        yield
    finally:
        run([*command, "remove", name, value], timeout=_HOOK_LIMIT, check=False)


@contextmanager
def _translated(names: Sequence[str]) -> Iterator[None]:
    """Foreign errors become ours here, and nowhere else."""
    import requests
    from acme import errors, messages

    shown = ", ".join(names)
    try:
        yield
    except HavreError:
        raise
    except errors.ValidationError as error:
        raise FailedError([_unproven(failed) for failed in error.failed_authzrs]) from error
    except errors.TimeoutError as error:
        raise FailedError(_problem(shown, "the certificate authority did not finish in time", ())) from error
    except messages.Error as error:
        raise FailedError(_problem(shown, "the certificate authority refused", (str(error),))) from error
    except (errors.Error, requests.RequestException) as error:
        raise UnavailableError(
            _problem(shown, "the certificate authority cannot be reached", (f"{type(error).__name__}: {error}"[:300],))
        ) from error


def _unproven(failed: AuthorizationResource) -> Problem:
    reasons = [str(one.error.detail or one.error) for one in failed.body.challenges if one.error]
    name = failed.body.identifier.value
    return Problem(
        summary=f"the certificate authority could not verify {name}",
        evidence=tuple(reasons),
        hint=f"point the DNS of {name} at this server and let port 80 through, then run `havre certs --renew`",
        subject=name,
        effect="the certificate in use stays in use; it is tried again later",
        code="acme-unproven",
    )


def _needs_dns(name: str) -> Problem:
    return Problem(
        summary=f"the certificate authority offers no fitting proof for {name}",
        hint="a wildcard needs DNS-01: give `tls: {dns_hook: COMMAND}`; the command gets `add|remove NAME VALUE`",
        subject=name,
        code="acme-no-challenge",
    )


def _problem(shown: str, summary: str, evidence: tuple[str, ...]) -> Problem:
    return Problem(
        summary=f"{summary} ({shown})",
        evidence=evidence,
        hint="it is tried again with growing pauses; `havre certs --renew` tries at once",
        effect="the certificate in use stays in use",
        code="acme-failed",
    )


def _new_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from josepy.jwk import JWKRSA

    return JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)).json_dumps()


def _key(account: Account) -> JWKRSA:
    from josepy.jwk import JWKRSA

    key = JWKRSA.json_loads(account.key)
    assert isinstance(key, JWKRSA)
    return key


def _chain(order: OrderResource) -> bytes:
    return str(order.fullchain_pem).encode()


def _local_deadline() -> Any:
    """The library compares with the local clock, without a zone."""
    from datetime import datetime

    return datetime.fromtimestamp(clock.now() + _ORDER_LIMIT)  # noqa: DTZ006
