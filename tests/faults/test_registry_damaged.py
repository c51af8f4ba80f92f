"""Files of the registry that are changed on disk: said, and nothing waits for ever."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.answers import picture
from tests.support.checker import Checker
from tests.support.polling import wait_until
from tests.support.servers import Servers
from tests.support.tiny_model import publish
from worker.models.registry import Registry

GIVEN_UP_S = 60.0


@pytest.mark.timeout(240)
def test_a_graph_that_was_truncated_fails_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    servers = Servers(tmp_path / "data", workers=2)
    try:
        publish(servers.models)
        damaged = publish(servers.models, "damaged")
        # No worker loads it before it is asked for, so that each has to find out.
        aliases = servers.models / "damaged" / "aliases.json"
        aliases.write_text(json.dumps({"canary": damaged.version}))
        graph = Registry(servers.models).graph_path("damaged", damaged.version)
        content = graph.read_bytes()
        graph.write_bytes(content[: len(content) // 2])
        servers.start()
        checker = Checker(servers.url, servers.data)

        def ask(model: str = "damaged@canary") -> str:
            answer = httpx.post(f"{servers.url}/v1/predictions?model={model}", content=picture(0))
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        job = checker.finish(ask(), within_s=GIVEN_UP_S)
        assert job["error"]["code"] == "model_unavailable"
        assert "sha256" in job["error"]["message"]
        states = {
            one["state"]
            for row in servers.rows()
            for one in row["graphs"]
            if one["model"] == "damaged"
        }
        assert states == {"failed"}
        assert checker.finish(ask("tiny"), within_s=30)["status"] == "succeeded"
        graph.write_bytes(content)

        def works_again() -> bool:
            return bool(checker.finish(ask(), within_s=GIVEN_UP_S)["status"] == "succeeded")

        wait_until(works_again, within_s=60, what="the file that is whole again is loaded")
    finally:
        servers.remove()
