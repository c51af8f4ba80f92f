"""The secrets that sign webhooks: made, shown, renewed and read from the settings."""

import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.polling import wait_until
from tests.support.receiver import Receiver
from tests.support.system import ROOT, clean_environment
from tests.support.webhook_jobs import finish, submit, verified
from tests.support.webhooks import DelivererProcess
from tests.support.work import Work
from worker.errors import WebhooksOffError
from worker.settings import Settings
from worker.webhooks.signatures import known_secrets, make_secret, secret_file


def secret_command(data: Path, *options: str, **environment: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "deploy", "webhooks", "secret", "--data", str(data), *options],
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_secret_is_made_once_shown_again_and_renewed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = secret_command(data).stdout.strip()
    assert first.startswith("whsec_")
    assert secret_command(data).stdout.strip() == first
    second = secret_command(data, "--new").stdout.strip()
    assert second != first
    settings = Settings(data=data)
    assert known_secrets(settings) == (second, first)  # both sign, until the next one
    assert stat.S_IMODE(secret_file(settings).stat().st_mode) == 0o600
    third = secret_command(data, "--new").stdout.strip()
    assert known_secrets(settings) == (third, second)


def test_the_setting_comes_before_the_file(tmp_path: Path) -> None:
    given = make_secret(Settings(data=tmp_path / "elsewhere"))[0]
    data = tmp_path / "data"
    shown = secret_command(data, PERMAFROST_WEBHOOK_SECRET=given)
    assert shown.stdout.strip() == given
    renewed = secret_command(data, "--new", PERMAFROST_WEBHOOK_SECRET=given)
    assert renewed.returncode == 1
    assert "PERMAFROST_WEBHOOK_SECRET" in renewed.stderr
    assert not data.exists()


@pytest.mark.parametrize("wrong", ["whsec_", "whsec_c2hvcnQ=", "s3cretsecret", "whsec_!!!!"])
def test_a_secret_that_is_none_is_refused_without_being_shown(tmp_path: Path, wrong: str) -> None:
    shown = secret_command(tmp_path, PERMAFROST_WEBHOOK_SECRET=wrong)
    assert shown.returncode != 0
    assert "Traceback" not in shown.stderr
    assert "PERMAFROST_WEBHOOK_SECRET" in shown.stderr
    if len(wrong) > 6:
        assert wrong not in shown.stdout + shown.stderr
    with pytest.raises(WebhooksOffError):
        known_secrets(Settings(data=tmp_path))


def test_while_two_secrets_are_valid_both_sign(
    settings: Settings,
    web: FlaskClient,
    work: Work,
    secret: str,
    receiver: Receiver,
    deliverer: DelivererProcess,
) -> None:
    deliverer.start()
    newer = make_secret(settings, renew=True)[0]
    submit(web, receiver.url())
    finish(work)
    wait_until(lambda: receiver.heard, within_s=20, what="it is told")
    assert verified(secret, receiver.heard[0]) == verified(newer, receiver.heard[0])
