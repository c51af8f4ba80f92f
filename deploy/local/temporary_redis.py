"""The Redis of a data folder for a moment: for commands while `up` runs or not."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis

from deploy.local import redis_server
from deploy.local.errors import StartError
from deploy.local.file_permissions import check_own, keep_private
from deploy.local.layout import Layout
from deploy.local.lock import exclusive
from worker.credentials.key_store import KeyStore
from worker.redis.connection import connect
from worker.settings import Settings

_START_S = 120.0  # a large file of jobs is read first
_STOP_S = 60.0
_POLL_S = 0.02


@contextmanager
def redis_of(settings: Settings) -> Iterator[redis.Redis]:
    """Give a client of the Redis that the settings mean; the embedded one is started if need be.

    Raises `StartError` where there is none.
    """
    keep_private()
    if settings.redis_url:
        redis_server.check_external(settings)
        with connect(settings) as client:
            yield client
        return
    layout = Layout(settings.data)
    try:
        with ExitStack() as stack:
            check_own(layout.data)
            layout.prepare()
            client = _found_or_started(layout, settings, stack)
            yield client
            if KeyStore(client).guarded():  # for the next `up`, which looks before Redis runs
                layout.has_keys.touch(mode=0o600)
    except OSError as error:
        raise StartError(
            f"{error.filename or layout.data} cannot be used ({error.strerror or error}): "
            "put that right, or choose another folder with --data."
        ) from error


def _found_or_started(layout: Layout, settings: Settings, stack: ExitStack) -> redis.Redis:
    """Return a client of the Redis that `up` runs, or of one that runs while the stack is open."""
    deadline = time.monotonic() + _START_S
    while True:
        try:
            stack.enter_context(exclusive(layout))
        except StartError:
            if _answers(settings):
                break
        else:
            stack.callback(layout.clear)
            stack.enter_context(_started(layout, settings))
            while not _answers(settings):
                _wait(settings, deadline)
            break
        _wait(settings, deadline)
    return stack.enter_context(connect(settings))


@contextmanager
def _started(layout: Layout, settings: Settings) -> Iterator[None]:
    layout.redis_configuration.write_text(redis_server.configuration(layout, settings))
    layout.redis_socket.unlink(missing_ok=True)
    process = subprocess.Popen(
        [redis_server.executable(), str(layout.redis_configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the command, which ends it in order
    )
    try:
        yield
    finally:
        process.terminate()  # it writes out what is not on disk yet
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(settings: Settings) -> bool:
    try:
        redis_server.ping(settings)
    except (redis_server.Loading, redis_server.Unreachable):
        return False
    return True


def _wait(settings: Settings, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise StartError(
            f"The Redis of the data folder {settings.data} does not answer: see its log in "
            f"{Layout(settings.data).logs}."
        )
    time.sleep(_POLL_S)
