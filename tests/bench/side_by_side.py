"""One graph: Permafrost and its peers side by side."""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.answers_compared import disagreement, right_labels, tolerance
from tests.bench.graphs import Graph
from tests.bench.http_contenders import HttpContender, Photographs
from tests.bench.limit import Limit
from tests.bench.peer_servers import PeerServer
from tests.bench.peer_settings import PEERS, Peer
from tests.bench.processor_time import used_ms
from tests.bench.product import ACCELERATED, MODEL, WAIT, FolderBatch, Product
from tests.bench.rounds import Contender, Round, interleaved
from tests.bench.wanted import MANY, ONE
from worker.models.manifest import Manifest

CORES = len(os.sched_getaffinity(0))
CLIENTS = 32
BUNDLE = 32  # uploads in one request
BUNDLING = 4  # clients that send them
_SERVER_BYTES = 2 * 2**30  # that one peer may take, with a process per core
# In a turn, at the limit's rate, where that takes longer than a turn does otherwise. What is under
# way at the end of a turn has cost time and is not counted: of a slow graph that would be most.
_TURN_IMAGES = 4 * BUNDLING * BUNDLE
_IDLE_S = 3.0  # that idle servers are watched for
_COMPARED = 32  # photographs of which a peer's answers are compared with ours


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How often and how long everything is measured."""

    rounds: int
    seconds: float  # of a turn with 32 clients
    one_seconds: float  # of a turn with one client
    warm_s: float = 1.5


QUICK = Lengths(rounds=3, seconds=3.0, one_seconds=2.0)
FULL = Lengths(rounds=5, seconds=5.0, one_seconds=4.0)


def turn_seconds(asked: float, rate: float) -> float:
    """Return how long a turn with many clients lasts, for a limit of `rate` images per second."""
    return max(asked, _TURN_IMAGES / rate)


class SideBySide:
    """The systems of one graph, all running."""

    def __init__(
        self,
        graph: Graph,
        paths: Sequence[Path],
        python: Path,
        scratch: Path,
        told: Callable[[str], None],
        peers: Sequence[Peer] = PEERS,
    ) -> None:
        self._graph, self._python, self._told = graph, python, told
        self._scratch = scratch / graph.name
        self._scratch.mkdir(parents=True)
        self._given = paths
        self._peers = [peer for peer in peers if peer.key not in graph.left_out]
        self._stack = ExitStack()
        self._product = Product(self._scratch)
        self._servers: dict[str, PeerServer] = {}

    def __enter__(self) -> "SideBySide":
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self, lengths: Lengths) -> dict[str, dict[str, list[Round]]]:
        """Return the rounds of all parts."""
        limits = self._limits()
        rate = next(iter(limits)).rate
        many = self._many(limits, rate)
        one = self._one()
        seconds = turn_seconds(lengths.seconds, rate)
        for contender in [*many, *one]:
            contender.turn(lengths.warm_s)
        self._told(f"everybody idle: {self._idle():.1%} of one core")
        return {
            MANY: interleaved(many, lengths.rounds, seconds, self._told),
            ONE: interleaved(one, lengths.rounds, lengths.one_seconds, self._told),
        }

    def _idle(self) -> float:
        """Return the share of a core that all servers use while nobody asks them anything.

        It is what those that wait for their turn take from the one that has it.
        """
        before = self._used_ms()
        time.sleep(_IDLE_S)
        return (self._used_ms() - before) / 1000 / _IDLE_S

    def _used_ms(self) -> float:
        roles = [self._product.roles(), *(server.roles() for server in self._servers.values())]
        return sum(sum(used_ms(each).values()) for each in roles)

    def titles(self) -> dict[str, str]:
        """Return how the contenders are called, by key."""
        return {contender.key: contender.title for contender in self._known}

    # -- starting ---------------------------------------------------------------------------

    def _start(self) -> None:
        product = self._product
        self._stack.callback(shutil.rmtree, self._scratch, True)
        self._stack.callback(product.system.stop)
        self._told("starting Permafrost")
        product.system.start()
        self._told("freezing the graph for both runtimes")
        served = product.publish(self._graph.source(self._scratch), self._graph.options)
        self._served: Mapping[str, Manifest] = served
        self._photographs = self._classified()
        self._known: list[Contender] = []
        specs = {
            manifest.runtime: product.describe(manifest, self._scratch / f"{name}.json")
            for name, manifest in served.items()
        }
        peers = [peer for peer in self._peers if peer.runtime in specs]
        room = psutil.virtual_memory().available // _SERVER_BYTES
        if room < len(peers):
            self._told(f"memory for {room} of {len(peers)} peers: the first ones are left in")
        self._told("starting the peers")
        for peer in peers[:room]:
            spec = specs[peer.runtime]
            server = PeerServer(peer, spec, self._python, self._scratch / f"{peer.key}.log")
            self._servers[peer.key] = server
            self._stack.callback(server.stop)
            server.start()
        for server in self._servers.values():
            server.await_ready(self._photographs.paths[0].read_bytes())
        self._told("comparing answers")
        for server in self._servers.values():
            self._compare(server)
            server.rest()

    def _classified(self) -> Photographs:
        """Have all photographs classified, and leave out those that cannot be."""
        folder = self._scratch / "photographs"
        folder.mkdir()
        paths, labels = [], []
        self._answers = {}
        for number, path in enumerate(self._given):
            predictions = self._product.classify(path.read_bytes())
            if predictions is None:
                self._told(f"{path.name} cannot be classified and is left out")
                continue
            place = folder / f"{number:04}{path.suffix.lower()}"
            shutil.copyfile(path, place)
            paths.append(place)
            labels.append(right_labels(predictions, tolerance(path)))
            self._answers[place] = predictions
        if not paths:
            raise SystemExit("None of the photographs can be classified.")
        return Photographs(paths=paths, labels=labels)

    def _compare(self, server: PeerServer) -> None:
        for path in self._photographs.paths[:_COMPARED]:
            theirs = server.classify(path.read_bytes())
            wrong = disagreement(self._answers[path], theirs, tolerance(path))
            if wrong:
                raise SystemExit(f"{server.peer.title} answers wrongly for {path.name}: {wrong}")

    # -- contenders -------------------------------------------------------------------------

    def _limits(self) -> list[Limit]:
        titles = {MODEL: "the limit", ACCELERATED: "the limit with ONNX Runtime"}
        keys = {MODEL: "limit", ACCELERATED: "limit-onnx"}
        limits = []
        for model in self._served:
            folder = self._photographs.paths[0].parent
            limit = Limit(keys[model], titles[model], self._product.system.data, model, folder)
            self._stack.callback(limit.stop)
            self._told(f"{limit.title}: {limit.start(CORES)}")
            limits.append(limit)
        return limits

    def _many(self, limits: Sequence[Limit], rate: float) -> list[Contender]:
        contenders: list[Contender] = [*limits]
        contenders.append(self._ours("permafrost", "Permafrost", MODEL, CLIENTS))
        contenders.append(
            self._ours("permafrost-raw", "Permafrost, image as body", MODEL, CLIENTS, form="raw")
        )
        contenders.append(self._bundle("bundle", f"Permafrost, {BUNDLE} in a request", BUNDLING))
        contenders.append(self._bundle("bundle-alone", "Permafrost, one such request at a time", 1))
        contenders.append(self._folder("folder", "Permafrost, folder", MODEL, rate))
        if ACCELERATED in self._served:
            contenders += [
                self._ours("permafrost-onnx", "Permafrost, ONNX Runtime", ACCELERATED, CLIENTS),
                self._folder(
                    "folder-onnx", "Permafrost, folder, ONNX Runtime", ACCELERATED, limits[1].rate
                ),
            ]
        contenders += [
            self._peer(server, min(CLIENTS, server.peer.clients))
            for server in self._servers.values()
            if MANY in server.peer.parts
        ]
        self._known += contenders
        return contenders

    def _one(self) -> list[Contender]:
        contenders: list[Contender] = [self._ours("permafrost", "Permafrost", MODEL, 1)]
        if ACCELERATED in self._served:
            contenders.append(
                self._ours("permafrost-onnx", "Permafrost, ONNX Runtime", ACCELERATED, 1)
            )
        contenders += [
            self._peer(server, 1) for server in self._servers.values() if ONE in server.peer.parts
        ]
        self._known += contenders
        return contenders

    def _ours(
        self, key: str, title: str, model: str, clients: int, form: str = "multipart"
    ) -> HttpContender:
        product = self._product
        return HttpContender(
            key=key,
            title=title,
            port=product.system.port,
            path=f"/v1/predictions?model={model}",
            headers=WAIT,
            form=form,
            photographs=self._photographs,
            roles=product.roles,
            connections=clients,
        )

    def _bundle(self, key: str, title: str, clients: int) -> HttpContender:
        product = self._product
        return HttpContender(
            key=key,
            title=title,
            port=product.system.port,
            path=f"/v1/batches?model={MODEL}",
            headers=WAIT,
            form="batch",
            images=BUNDLE,
            photographs=self._photographs,
            roles=product.roles,
            connections=clients,
        )

    def _folder(self, key: str, title: str, model: str, rate: float) -> FolderBatch:
        return FolderBatch(key, title, self._product, model, self._photographs.paths, rate)

    def _peer(self, server: PeerServer, clients: int) -> HttpContender:
        return HttpContender(
            key=server.peer.key,
            title=server.peer.title,
            port=server.port,
            path="/predict",
            photographs=self._photographs,
            roles=server.roles,
            awake=server.awake,
            connections=clients,
        )
