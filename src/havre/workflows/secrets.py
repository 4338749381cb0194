"""An instance's secrets as commands and loading use them: from the sealed store and from commands, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from havre.compose import LoadedProject
from havre.manifest.infer import infer_secrets
from havre.model.app import App
from havre.secrets.sources import secret_values
from havre.secrets.vault import Vault
from havre.store.state import State


def vault_of(state: State, instance: str) -> Vault:
    """The sealed store of an instance."""
    return Vault(state.secrets, state.keys, instance)


def values_of(state: State, app: App) -> Mapping[str, str]:
    """The secrets of an app, for its Compose files; raises InputError when a command gives none."""
    vault = vault_of(state, app.instance)
    if not app.secrets and not vault.file.exists():
        return {}
    return secret_values(app, vault)


def names_to_generate(app: App, loaded: LoadedProject | None, missing: Sequence[str] = ()) -> tuple[str, ...]:
    """What `generate` makes without names: the manifest's list, or else what the Compose files use without a value
    (`missing`: what they require)."""
    if app.secrets:
        return tuple(source.name for source in app.secrets if source.command is None)
    if loaded is None:
        return ()
    unset = [name for name, use in loaded.variables.items() if use.source in ("unset", "default")]
    names = dict.fromkeys([*unset, *missing])
    return tuple(secret.name for secret in infer_secrets(names) if secret.can_generate)
