"""What the part `clients` measures, all running: Permafrost as it is set up, peers, and nginx."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx

from tests.bench import nginx
from tests.bench.answers_compared import disagreement, right_labels, tolerance
from tests.bench.graphs import Graph
from tests.bench.http_contenders import HttpContender, Photographs
from tests.bench.peer_environment import python_of_peers
from tests.bench.peer_servers import PATHS, PeerServer
from tests.bench.peer_settings import Peer
from tests.bench.product import MODEL, Product
from tests.bench.shapes import POLL_S, TRITON, NotRecordedError, Recorded, Shape, record
from tests.support.guarded_redis import GuardedRedis, tls_executable
from tests.support.system import ROOT, clean_environment

OURS = "permafrost"
_START_S = 300
_COMPARED = 8  # photographs of which a peer's answers are compared with ours
_ALL_RIGHTS = "user default off\nuser operator on >OPERATOR_PASSWORD ~* &* +@all\n"


class Systems:
    """Starts everything; `skipped` says what could not be, by title, and why."""

    def __init__(
        self,
        graph: Graph,
        paths: Sequence[Path],
        scratch: Path,
        told: Callable[[str], None],
        peers: Sequence[Peer],
    ) -> None:
        self._graph, self._given, self._scratch, self._told = graph, paths, scratch, told
        self._wanted = peers
        self._stack = ExitStack()
        self._products: dict[str, Product] = {}
        self._proxies: dict[tuple[str, bool], nginx.Nginx] = {}
        self._recorded: dict[str, Recorded] = {}
        self.servers: dict[str, PeerServer] = {}
        self.skipped: dict[str, str] = {}

    def __enter__(self) -> "Systems":
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ours(self, shape: Shape, clients: int, proxy: str = "") -> HttpContender | None:
        """Return Permafrost, asked in a shape, or None where that cannot be; `proxy`: see `_at`."""
        system = "proxies" if proxy and shape.system == "plain" else shape.system
        product, recorded = self._products.get(system), self._recorded.get(shape.key)
        if product is None or recorded is None:
            return None
        port, roles = self._at(f"{OURS} {system}", product.system.port, product.roles, proxy)
        return HttpContender(
            key=f"{OURS}/{shape.key}{proxy}",
            title=f"Permafrost, {shape.title}{proxy}",
            port=port,
            path="",
            photographs=self._photographs,
            roles=roles,
            connections=clients,
            recorded=recorded,
            every_s=POLL_S if shape.reading == "poll" else None,
        )

    def theirs(
        self, peer: Peer, shape: Shape, clients: int, proxy: str = ""
    ) -> HttpContender | None:
        """Return a peer, asked in a shape, or None where that cannot be; `proxy`: see `_at`."""
        server, recorded = self.servers.get(peer.key), self._recorded.get(shape.key)
        if server is None or recorded is None:
            return None
        port, roles = self._at(peer.key, server.port, server.roles, proxy)
        return HttpContender(
            key=f"{peer.key}/{shape.key}{proxy}",
            title=f"{peer.title}, {shape.title}{proxy}",
            port=port,
            path=PATHS[_taken(shape)],
            photographs=self._photographs,
            roles=roles,
            awake=server.awake,
            connections=min(clients, peer.clients),
            recorded=recorded,
            every_s=POLL_S if shape.reading == "poll" else None,
        )

    def record(self, shapes: Sequence[Shape], pythons: dict[str, Path]) -> None:
        """Have the clients of all shapes send their requests; `pythons`: by environment."""
        for shape in shapes:
            python = pythons.get(shape.installed)
            try:
                if python is None:
                    raise NotRecordedError("its client is not installed")
                self._recorded[shape.key] = record(
                    shape,
                    self._photographs.paths,
                    self._scratch / "recorded" / shape.key,
                    python,
                    MODEL,
                    self._key,
                )
            except NotRecordedError as error:
                self.skipped[shape.title] = str(error)

    def running(self) -> dict[str, list[int]]:
        """Return all processes, by whose they are."""
        ours = {f"{OURS} {name}": each.roles() for name, each in self._products.items()}
        theirs = {name: each.roles() for name, each in self.servers.items()}
        proxies = {f"nginx of {name}": each.roles() for (name, _), each in self._proxies.items()}
        return {
            name: [pid for pids in roles.values() for pid in pids]
            for name, roles in {**ours, **theirs, **proxies}.items()
        }

    # -- starting ---------------------------------------------------------------------------

    def _start(self) -> None:
        self._stack.callback(shutil.rmtree, self._scratch, True)
        self._key = ""
        self._told("starting Permafrost: alone, behind proxies, with API keys, with rediss://")
        plain = self._product("plain")
        self._product("proxies", PERMAFROST_TRUSTED_PROXIES="2")
        guarded = self._product("keys")
        tls = self._tls_url()
        if tls:
            self._product("tls", REDIS_URL=tls)
        for product in self._products.values():
            product.system.await_ready(within_s=_START_S)
        self._told("freezing the graph")
        source = self._graph.source(self._scratch)
        with ThreadPoolExecutor() as pool:
            freezes = [
                pool.submit(product.publish, source, self._graph.options, [MODEL])
                for product in self._products.values()
            ]
            served, *_ = [freeze.result() for freeze in freezes]
        spec = plain.describe(served[MODEL], self._scratch / "model.json")
        self._photographs = self._classified(plain)
        self._key = made_key(guarded)
        self.pythons: dict[str, Path] = {}
        for peer in self._wanted:
            self._start_peer(peer, spec)
        if nginx.executable() is None:
            self.skipped["behind nginx"] = "no nginx: install it (Debian: apt install nginx-light)"

    def _product(self, name: str, **environment: str) -> Product:
        folder = self._scratch / name
        folder.mkdir(parents=True)
        product = Product(folder, **environment)
        self._stack.callback(product.system.stop)
        product.system.launch()
        self._products[name] = product
        return product

    def _tls_url(self) -> str | None:
        """Start a Redis with TLS and return its address; None where this machine has none."""
        if tls_executable(self._scratch) is None:
            self.skipped["Redis over TLS"] = "no redis-server with TLS (Debian: redis-tools has it)"
            return None
        server = GuardedRedis(_ALL_RIGHTS, tls=True)
        self._stack.callback(server.remove)
        with server.connect("operator") as client:
            client.config_set("appendonly", "yes")  # as Permafrost's own Redis has it
        return server.url("operator")

    def _start_peer(self, peer: Peer, spec: Path) -> None:
        self._told(f"starting {peer.title}")
        try:
            python = self.pythons.setdefault(peer.installed, python_of_peers(peer.installed))
        except SystemExit:
            self.skipped[peer.title] = "its packages could not be installed here"
            return
        server = PeerServer(peer, spec, python, self._scratch / f"{peer.key}.log")
        self._stack.callback(server.stop)
        server.start()
        try:  # one after the other: some give up where others take the processors meanwhile
            server.await_ready(self._photographs.paths[0].read_bytes(), _START_S)
        except (AssertionError, httpx.HTTPError) as error:
            self._told(f"it does not start:\n{error}")
            self.skipped[peer.title] = "it did not start on this machine"
            server.stop()
            return
        self.servers[peer.key] = server
        for path in self._photographs.paths[:_COMPARED]:
            theirs = server.classify(path.read_bytes())
            wrong = disagreement(self._answers[path], theirs, tolerance(path))
            if wrong:
                raise SystemExit(f"{server.peer.title} answers wrongly for {path.name}: {wrong}")
        server.rest()

    def _classified(self, product: Product) -> Photographs:
        """Have all photographs classified, and leave out those that cannot be."""
        self._answers = {}
        for path in self._given:
            predictions = product.classify(path.read_bytes())
            if predictions is not None:
                self._answers[path] = predictions
        if not self._answers:
            raise SystemExit("None of the photographs can be classified.")
        labels = [right_labels(found, tolerance(path)) for path, found in self._answers.items()]
        return Photographs(paths=list(self._answers), labels=labels)

    # -- what stands between ----------------------------------------------------------------

    def _at(
        self, name: str, port: int, roles: Callable[[], dict[str, list[int]]], proxy: str
    ) -> tuple[int, Callable[[], dict[str, list[int]]]]:
        """Return the port to ask, and the processes behind it: the server's own, or nginx's too.

        `proxy` is empty, or one of `PROXIES`.
        """
        if not proxy:
            return port, roles
        kept = proxy == PROXIES[1]
        found = self._proxies.get((name, kept))
        if found is None:
            found = self._proxies[name, kept] = nginx.Nginx(port, kept=kept)
            self._stack.callback(found.stop)
        return found.port, partial(_together, roles, found.roles)


PROXIES = (", behind nginx", ", behind nginx, connections kept")


def _taken(shape: Shape) -> str:
    """Return what a peer has to take to be sent a shape."""
    if shape is TRITON:
        return "triton"
    return "jobs" if shape.reading == "poll" else "forms"


def made_key(product: Product) -> str:
    """Make the first API key of a running system; from then on every request needs one."""
    command = [sys.executable, "-m", "deploy", "keys", "--data", str(product.system.data)]
    done = subprocess.run(
        [*command, "create", "bench", "--scope", "admin"],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _together(*each: Callable[[], dict[str, list[int]]]) -> dict[str, list[int]]:
    return {role: pids for roles in each for role, pids in roles().items()}
