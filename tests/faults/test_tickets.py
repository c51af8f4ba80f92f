"""Tickets that are never sent, and tickets that come twice."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

import psutil
import pytest

from tests.support.polling import wait_until
from tests.support.scene import Scene, Tell, staged
from tests.support.servers import Servers
from worker.jobs.keys import key
from worker.jobs.records import Lane

IMAGES = 500
RUNS_WITHIN_S = 30.0  # a job without a ticket


@dataclass
class WithTickets(Scene):
    """A system of two worker processes, and its checker."""

    def wait_for_no_ticket(self, lane: Lane) -> None:
        """Wait until the next job of a lane needs a ticket.

        That is when none is on its way and no process waits that could be called instead.
        """
        with self.servers.store() as store:

            def none() -> bool:
                waiting = store.zcount(key("waiting", lane), time.time() * 1000, "inf")
                return not (waiting or store.exists(key("ticket", lane), key("tickets", lane)))

            wait_until(
                none,
                within_s=30,
                what="no ticket is on its way, and no process waits to be called",
            )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithTickets]:
    data = tmp_path_factory.mktemp("tickets") / "data"
    with staged(WithTickets, data, IMAGES, apis=2, inject=["witness"]) as found:
        yield found


@pytest.mark.timeout(300)
def test_a_job_runs_though_its_api_was_killed_before_the_ticket(
    scene: WithTickets, record_property: Tell
) -> None:
    servers, checker = scene.servers, scene.checker
    servers.kill(servers.api)
    servers.start_api(inject=["dying_before_tickets"])
    order, took_s = servers.data / "die", []
    for lane, submit in ((Lane.INTERACTIVE, checker.submit), (Lane.BULK, scene.submit)):
        while True:
            scene.wait_for_no_ticket(lane)
            before = servers.children(servers.api)
            order.touch()
            started = time.monotonic()
            # Where the ticket is sent before the answer, the client is cut off and repeats itself.
            job_id = submit()
            checker.finish(job_id, within_s=60)
            if not order.exists():
                break
            # A process had begun to wait in between, and was called: no ticket was to be sent.
        wait_until(
            partial(_one_ended, servers, before),
            within_s=10,
            what="a process of the API was killed",
        )
        took_s.append(round(time.monotonic() - started, 1))
    checker.judge()
    assert checker.judge_runs().repeated == 0
    record_property("ended after s", took_s)
    assert max(took_s) <= RUNS_WITHIN_S


def _one_ended(servers: Servers, before: Collection[psutil.Process]) -> bool:
    return not set(before) <= set(servers.children(servers.api))


@pytest.mark.timeout(300)
def test_tickets_that_come_twice_make_nothing_run_twice(
    scene: WithTickets, record_property: Tell
) -> None:
    servers, checker = scene.servers, scene.checker
    for service in (servers.worker, servers.api):
        servers.kill(service)
    servers.start_api(inject=["twice"])
    scene.wait_for_no_ticket(Lane.INTERACTIVE)
    checker.submit()
    with servers.store() as store:
        wait_until(
            lambda: store.llen(key("tickets", Lane.INTERACTIVE)) == 2,
            within_s=10,
            what="both tickets are there",
        )
    servers.start_worker(inject=["twice"])
    with checker.clients(4):
        for _ in range(2):
            checker.finish(scene.submit(), within_s=120)
    checker.judge()
    runs = checker.judge_runs()
    record_property("images", len(runs.outcomes))
    record_property("run twice", runs.repeated)
    assert runs.repeated == 0
