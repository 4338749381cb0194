"""Where the edge keeps its files; every path is derived from one home directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one edge. HAProxy reads `configuration` (a directory) and what it names; nobody else writes here."""

    home: Path

    @property
    def configuration(self) -> Path:
        """The directory HAProxy is started with: the base, the spare backends, one file per app."""
        return self.home / "conf"

    @property
    def base(self) -> Path:
        """What all apps share; sorted first, since sections refer to its defaults."""
        return self.configuration / "00-edge.cfg"

    @property
    def spares(self) -> Path:
        """Backends made in advance, for apps to come."""
        return self.configuration / "50-spares.cfg"

    def app_configuration(self, instance: str) -> Path:
        """The backends and listeners of one app."""
        return self.configuration / f"app-{instance}.cfg"

    def app_state(self, instance: str) -> Path:
        """What is applied for one app, as JSON: all else is rendered from it."""
        return self.home / "apps" / f"{instance}.json"

    @property
    def states(self) -> Path:
        """The directory of all apps' states."""
        return self.home / "apps"

    @property
    def pool(self) -> Path:
        """The free spare backends, the generation of the structure, the rate-limit periods in use."""
        return self.home / "edge.json"

    @property
    def routes(self) -> Path:
        """Host and path to route, for all apps."""
        return self.home / "maps" / "routes.map"

    @property
    def redirects(self) -> Path:
        """Route to the address it redirects to, for all apps."""
        return self.home / "maps" / "redirects.map"

    @property
    def held(self) -> Path:
        """Backend to the milliseconds that its requests wait at most, for those that are held."""
        return self.home / "maps" / "held.map"

    @property
    def certificates(self) -> Path:
        """The directory of PEM files (0700)."""
        return self.home / "certs"

    @property
    def certificate_list(self) -> Path:
        """HAProxy's list of certificates and the names each is for."""
        return self.certificates / "list.txt"

    @property
    def body_limit(self) -> Path:
        """The Lua filter that bounds bodies sent without a length."""
        return self.home / "lua" / "bodylimit.lua"

    @property
    def hold(self) -> Path:
        """The Lua actions by which requests to a held backend wait, and a hold ends by itself."""
        return self.home / "lua" / "hold.lua"

    @property
    def maintenance_page(self) -> Path:
        """What visitors of a route in maintenance see."""
        return self.home / "pages" / "maintenance.html"

    @property
    def too_large(self) -> Path:
        """What is answered when a body turns out too large while it is being sent."""
        return self.home / "pages" / "too-large.http"

    @property
    def admin_socket(self) -> Path:
        """The runtime API of the current worker."""
        return self.home / "run" / "admin.sock"

    @property
    def master_socket(self) -> Path:
        """The master process: reloads and the list of workers."""
        return self.home / "run" / "master.sock"

    @property
    def bounded_socket(self) -> Path:
        """Where requests with a body of unknown length pass a second time, to be counted."""
        return self.home / "run" / "bounded.sock"

    def gate(self, generation: int) -> Path:
        """Where the worker of a later generation takes over what this one's holds; the names are used again."""
        return self.home / "run" / f"gate-{generation % 8}.sock"

    @property
    def peers_socket(self) -> Path:
        """Where an old worker hands its rate-limit counters to its successor."""
        return self.home / "run" / "peers.sock"

    @property
    def pid(self) -> Path:
        """The master's process id."""
        return self.home / "run" / "edge.pid"

    @property
    def supervisor(self) -> Path:
        """The process id of what starts a killed HAProxy again (host processes only)."""
        return self.home / "run" / "supervisor.pid"

    @property
    def unfinished(self) -> Path:
        """Exists while the running edge may differ from the files; names the instance at work."""
        return self.home / "run" / "unfinished"

    @property
    def lock(self) -> Path:
        """Held while anything changes, for the whole server."""
        return self.home / "run" / "edge.lock"

    @property
    def log(self) -> Path:
        """The access log: one JSON object per request."""
        return self.home / "log" / "access.log"

    @property
    def messages(self) -> Path:
        """What HAProxy says about itself."""
        return self.home / "log" / "haproxy.log"
