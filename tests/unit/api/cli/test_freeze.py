"""`freeze` and `inspect` against a server that is made up."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_server import problem, ulid
from tests.support.command_line import FROZEN, VERIFIED, Server, job, run
from tests.support.inspected import INSPECTED


def test_a_checkpoint_is_uploaded_followed_and_reported(freezing: Server, checkpoint: Path) -> None:
    found = run("freeze", "model", "--name", "pets")
    assert found.exit_code == 0
    names = re.findall(rb'filename="([^"]+)"', freezing.requests_to("/v1/freezes")[0].content)
    assert sorted(names) == [b"checkpoint", b"m.data-00000-of-00001", b"m.index", b"m.meta"]
    assert freezing.sent() == {"name": "pets"}
    assert found.stderr.count("Reading.") == found.stderr.count("Freezing.") == 1
    for words in (
        "pets@3 is published",
        "25.6 MB -> 8.5 MB",
        "401 -> 41",
        "300 gradients, 60 optimizer slots",
        "7 constants and 3 batch normalisations folded, 62 -> 41 nodes",
        "freed: any number of images at once, the source took 1",
        "2 kinds of ops, all of them allowed (list 2026-11-24)",
        "largest difference 1.2e-07",
        "Warning: The placeholder keep_prob was set to 1.0.",
        "./permafrost classify photo.jpg --model pets\n",
    ):
        assert words in found.stdout
    assert re.search(r"^conv1\s+kernel 3x3x3x32, bias 32\s+896$", found.stdout, re.MULTILINE)
    assert re.search(r"^all\s+2,946$", found.stdout, re.MULTILINE)


def test_freezes_and_inspections_name_who_is_to_be_told(freezing: Server, checkpoint: Path) -> None:
    url = "https://example.com/hook"
    assert run("freeze", "model", "--name", "pets", "--webhook", url).exit_code == 0
    assert freezing.sent() == {"name": "pets", "webhook": url}
    inspecting(freezing, INSPECTED)
    assert run("inspect", "model", "--webhook", url).exit_code == 0
    assert url.encode() in freezing.requests_to("/v1/inspections")[-1].content


def test_freeze_sends_what_was_asked_for_and_nothing_else(
    freezing: Server, checkpoint: Path
) -> None:
    Path("labels.txt").write_text("0 cat\n1 dog\n")
    Path("prep.json").write_text('{"size": [96, 96], "color": "rgb"}')
    found = run(
        *("freeze", "model/m", "--name", "pets", "--output", "a", "--output", "b:0"),
        *("--input", "x", "--set", "keep_prob=1.0", "--set", "is_training=false"),
        *("--labels", "labels.txt", "--preprocessing", "prep.json", "--scores", "logits"),
        *("--alias", "canary", "--runtime", "onnxruntime", "--server", "http://other:9"),
        *("--no-optimise", "--batch", "free"),
        *("--sample", "prep.json", "--sample", "labels.txt"),
    )
    assert found.exit_code == 0
    sent = freezing.requests_to("/v1/freezes")[-1].content
    assert re.findall(rb'name="samples"; filename="(.*?)"', sent) == [b"prep.json", b"labels.txt"]
    assert freezing.sent() == {
        "name": "pets",
        "inputs": ["x"],
        "outputs": ["a", "b:0"],
        "set": {"keep_prob": 1.0, "is_training": False},
        "labels": ["cat", "dog"],
        "preprocessing": {"size": [96, 96], "color": "rgb"},
        "scores": "logits",
        "alias": "canary",
        "runtime": "onnxruntime",
        "batch": "free",
        "optimise": False,
    }
    assert "--model pets@canary --server http://other:9" in found.stdout


def test_a_freeze_that_left_things_as_they_were_says_so(freezing: Server, checkpoint: Path) -> None:
    kept = {"optimised": None, "batch": {"source": 4, "served": 4}}
    freezing.jobs["f1"][-1]["result"] = FROZEN | kept
    found = run("freeze", "model", "--name", "pets", "--no-optimise")
    assert re.search(r"^optimised\s+no\s*$", found.stdout, re.MULTILINE)
    assert "4 images at once, filled up where there are fewer" in found.stdout


def test_a_freeze_for_onnx_runtime_says_how_that_was_proven(
    freezing: Server, checkpoint: Path
) -> None:
    made = {
        "format": "onnx",
        "opset": 18,
        "onnxruntime": "1.32.0",
        "bytes": 8_600_000,
        "verification": {**VERIFIED, "max_abs_difference": 2.5e-7},
    }
    freezing.jobs["f1"][-1]["result"] = FROZEN | {"runtime": "onnxruntime", "accelerated": made}
    found = run("freeze", "model", "--name", "pets", "--runtime", "onnxruntime")
    said = "onnxruntime: onnx, 8.6 MB, verified on 8 samples, largest difference 2.5e-07"
    assert said in " ".join(found.stdout.split())


def test_a_model_that_cannot_classify_is_not_said_to_be_tried(
    freezing: Server, checkpoint: Path
) -> None:
    freezing.jobs["f1"][-1]["result"] = FROZEN | {"classifies": False}
    found = run("freeze", "model", "--name", "pets")
    assert "pets@3 is published" in found.stdout
    assert "Try it" not in found.stdout


def test_a_source_that_is_not_here_is_named_to_the_server(freezing: Server, tmp_path: Path) -> None:
    found = run("freeze", "trained/m", "--name", "pets")
    assert found.exit_code == 0
    assert freezing.sent() == {"source": "trained/m", "name": "pets"}
    assert "trained/m is not on this machine" in found.stderr


def test_the_json_of_a_freeze_is_its_job(freezing: Server, checkpoint: Path) -> None:
    found = run("freeze", "--json", "model", "--name", "pets")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["result"] == FROZEN
    assert "Reading." in found.stderr


def test_a_failed_freeze_says_why_and_is_exit_code_1(server: Server, checkpoint: Path) -> None:
    error = {"code": "unknown_node", "message": "There is no node 'y'. Did you mean 'y_pred'?"}
    server.jobs["f1"] = [job("f1", "failed", kind="freeze", error=error)]
    found = run("freeze", "model", "--name", "pets", "--output", "y")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "There is no node 'y'. Did you mean 'y_pred'?" in found.stderr
    found = run("freeze", "model", "--name", "pets", "--output", "y", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"] == error


def test_a_cancelled_freeze_is_exit_code_1(server: Server, checkpoint: Path) -> None:
    server.jobs["f1"] = [job("f1", "cancelled", kind="freeze")]
    found = run("freeze", "model", "--name", "pets")
    assert found.exit_code == 1
    assert "The job was cancelled." in found.stderr


def test_ctrl_c_during_a_freeze_says_that_it_goes_on(
    server: Server, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.cli.command_client.CommandClient.states", interrupt)
    found = run("freeze", "model", "--name", "pets")
    assert found.exit_code == 130
    assert f"`./permafrost cancel {ulid('f1')}` stops it" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model"], "--name"),
        (["model", "--name", "x", "--set", "keep_prob"], "takes NODE=VALUE"),
        (["model", "--name", "x", "--set", "a=fast"], "'fast'"),
        (["model", "--name", "x", "--labels", "none.txt"], "none.txt cannot be read"),
        (["model", "--name", "x", "--preprocessing", "none.json"], "none.json cannot be read"),
        (["model", "--name", "x", "--scores", "many"], "--scores"),
        (["./none", "--name", "x"], "There is no file, folder or checkpoint ./none on this"),
        (["../none", "--name", "x"], "There is no file, folder or checkpoint ../none on this"),
        (["/no/m", "--name", "x"], "There is no file, folder or checkpoint /no/m on this"),
    ],
)
def test_wrong_usage_of_freeze_is_exit_code_2_and_a_sentence(
    server: Server, checkpoint: Path, arguments: list[str], words: str
) -> None:
    found = run("freeze", *arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    assert words in found.stderr
    assert server.requests == []


def test_what_the_server_calls_invalid_is_wrong_usage_too(
    server: Server, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = problem(400, "invalid_request", "'a b' is not a model name.")
    monkeypatch.setattr(server, "answer", lambda _: refusal)
    found = run("freeze", "model", "--name", "a b", "--json")
    assert found.exit_code == 2
    assert json.loads(found.stdout)["error"]["code"] == "invalid_request"


def inspecting(server: Server, result: dict[str, Any]) -> None:
    server.jobs["n1"] = [job("n1", kind="inspection", model=None, result=result)]


def test_an_inspection_is_reported_and_ends_with_the_freeze_to_make(
    server: Server, checkpoint: Path
) -> None:
    inspecting(server, INSPECTED)
    found = run("inspect", "model")
    assert found.exit_code == 0
    for words in (
        "TensorFlow 1 checkpoint",
        "25.6 MB in 2 files",
        "y_pred:0",
        "float32 [?, 96, 96, 3]",
        "float32, unknown",
        "images = x:0",
        "--set keep_prob=1.0",
        "optimizer slots",
        "about 8.5 MB and 41 nodes",
        "rgb, stretch to 96x96, NHWC, value ÷ 255",
        "Warning: Dropout is on.",
    ):
        assert words in found.stdout, words
    assert "queues" not in found.stdout
    assert "\x1b" not in found.stdout
    last = found.stdout.strip().splitlines()[-1]
    words = "freeze model --name pets --output y_pred --input x --set keep_prob=1.0"
    assert last == f"Freeze it: ./permafrost {words}"
    assert json.loads(run("inspect", "model", "--json").stdout)["result"] == INSPECTED
    assert server.requests[0].url.path == "/v1/inspections"


def test_an_inspection_whose_advice_is_not_ready_says_so(server: Server, checkpoint: Path) -> None:
    advice = {**INSPECTED["freeze"], "ready": False}
    inspecting(server, {**INSPECTED, "freeze": advice})
    assert "Freeze it, once that is settled: " in run("inspect", "model").stdout


def test_what_a_later_version_adds_is_passed_over_and_is_in_the_json(
    server: Server, checkpoint: Path
) -> None:
    added = {"more": [{"a": 1}], "parameters": {**INSPECTED["parameters"], "sparse": 7}}
    inspecting(server, {**INSPECTED, **added})
    assert run("inspect", "model").stdout.count("Freeze it: ") == 1
    found = json.loads(run("inspect", "model", "--json").stdout)
    assert found == server.jobs["n1"][0]
    assert found["result"]["parameters"]["sparse"] == 7


def test_a_report_of_another_version_is_said_to_be_one(server: Server, checkpoint: Path) -> None:
    inspecting(server, {"kind": "something", "more": [{"a": 1}]})
    for arguments in ("model",), ("model", "--json"):
        found = run("inspect", *arguments)
        assert found.exit_code == 3
        assert "result.name: Field required" in found.stderr
        assert "perhaps it is of another version" in found.stderr
    assert json.loads(found.stdout)["error"]["code"] == "not_permafrost"


def test_a_choice_of_signature_and_checkpoint_is_sent(server: Server, checkpoint: Path) -> None:
    inspecting(server, INSPECTED)
    found = run("inspect", "far/away", "--signature", "serve", "--checkpoint", "m-7")
    assert found.exit_code == 0
    asked = {"source": "far/away", "signature": "serve", "checkpoint": "m-7"}
    assert json.loads(server.requests[0].content) == asked
    assert found.stdout.strip().endswith("--signature serve --checkpoint m-7")
    # Of a folder that is here, only the checkpoint that is meant is sent.
    run("inspect", "model", "--checkpoint", "m")
    sent = server.requests[-2].content + server.requests[-1].content
    assert b'filename="m.meta"' in sent
    assert b'"checkpoint": ' not in sent
