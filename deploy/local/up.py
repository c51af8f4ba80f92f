"""Starts the local system, says when it is ready, watches it and stops it in order."""

import signal
import time
from collections.abc import Callable, Sequence

import redis

from api.client import Client
from deploy.local import configuration, orphans, redis_server
from deploy.local.access import access_mode
from deploy.local.crashes import Crashes
from deploy.local.demo import NAME, DemoError, freeze, published
from deploy.local.errors import StartError
from deploy.local.file_permissions import check_own, keep_private, tighten
from deploy.local.layout import Layout
from deploy.local.lock import exclusive
from deploy.local.options import Options
from deploy.local.port import check_free
from deploy.local.readiness import ReadinessProbe
from deploy.local.services import Service, services
from deploy.local.signals import StopRequest, StopSignals
from deploy.local.start_progress import StartProgress
from deploy.local.supervisord import AT_REST, Manager, ManagerError
from worker.credentials.api_key import Scope, new_secret
from worker.credentials.key_store import KeyStore
from worker.errors import PermafrostError, SettingError
from worker.redis.connection import connect
from worker.settings import Settings, read_settings

_POLL_S = 0.2  # between two looks while something is waited for
_WATCH_S = 2.0  # between two looks once everything runs
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")  # celery and gunicorn know each of them
_FORCED = 128 + signal.SIGINT  # exit code after a second Ctrl-C, as a shell would report it
_MANAGER_DEATHS = 5  # of supervisord, within the time below, after which `up` gives up
_MANAGER_DEATHS_S = 120.0
_LENT = "up"  # the name of the key with which `up` freezes the demo model
_LENT_S = 3600.0  # after which that key ends by itself, should nobody take it back


def up(options: Options) -> int:
    """Run the local system until it is asked to stop; returns the exit code.

    Raises `StartError` if it cannot start.
    """
    layout = Layout(options.data)
    settings = _settings(options)
    settings = settings.model_copy(
        update={"access": access_mode(options, layout, settings), "host": options.host}
    )
    keep_private()
    try:
        with StopSignals() as stop, StartProgress() as progress:
            check_own(layout.data)
            layout.prepare()
            with exclusive(layout):
                if changed := tighten(layout):
                    progress.tell(
                        f"Others on this machine can open {layout.data} no more: the rights of "
                        f"{changed} files and folders in it were taken back."
                    )
                if orphans.find(layout):
                    progress.doing("Waiting for the end of an earlier system in this data folder")
                    orphans.end(layout, lambda: stop.count > 0)
                check_free(options)
                try:
                    return System(options, layout, settings, stop, progress).run()
                finally:
                    layout.clear()
    except OSError as error:
        raise StartError(
            f"{error.filename or layout.data} cannot be used ({error.strerror or error}): "
            "put that right, or choose another folder with --data."
        ) from error


def _settings(options: Options) -> Settings:
    try:
        settings = read_settings(data=options.data)
    except SettingError as error:
        raise StartError(error.message) from None
    if settings.log_level.upper() not in _LOG_LEVELS:
        raise StartError(
            f"LOG_LEVEL is {settings.log_level!r}: give one of {', '.join(_LOG_LEVELS)}."
        )
    return settings


def _who_enters(settings: Settings, *, guarded: bool) -> str:
    if settings.access == "open":
        return "Everybody who reaches that address is let in without an API key (--open)."
    if guarded or settings.access == "keys":
        return "An API key is needed: ./permafrost keys lists them and makes more."
    return (
        "Every user of this machine is let in, until a first API key is made with "
        "./permafrost keys create NAME."
    )


class System:
    """One run of the local system."""

    def __init__(
        self,
        options: Options,
        layout: Layout,
        settings: Settings,
        stop: StopSignals,
        progress: StartProgress,
    ) -> None:
        self._options = options
        self._layout = layout
        self._settings = settings
        self._stop = stop
        self._progress = progress
        self._services = self._configure()
        self._manager = Manager(layout, self._services)
        self._crashes = Crashes(layout, self._services, progress.tell)
        # Known to this process only, and to nobody once the demo model is there.
        self._secret = new_secret()
        self._client = Client(
            options.local_url, timeout_s=20.0, retry_for_s=10.0, api_key=self._secret
        )
        self._readiness = ReadinessProbe(options.local_url)
        self._deaths: list[float] = []

    def _configure(self) -> Sequence[Service]:
        executable = None
        if self._settings.redis_url:
            redis_server.check_external(self._settings)
        else:
            executable = redis_server.executable()
            self._layout.redis_configuration.write_text(
                redis_server.configuration(self._layout, self._settings)
            )
            self._layout.redis_socket.unlink(missing_ok=True)
        chosen = services(self._options, self._layout, self._settings, executable)
        self._layout.supervisor_configuration.write_text(configuration.configuration(chosen))
        return chosen

    def run(self) -> int:
        """Start, watch until someone asks to stop, and stop; returns the exit code."""
        try:
            self._start()
            self._become_ready()
            while True:
                self._look(_WATCH_S)
        except StopRequest:
            return self._stop_in_order()
        except BaseException:
            self._end_at_once()
            raise
        finally:
            self._client.close()
            self._readiness.close()

    # -- starting ---------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the manager and the services: Redis first, the rest once it answers."""
        self._progress.doing("Starting the process manager")
        self._manager.start()
        for stage in self._manager.stages:
            for service in stage:
                self._manager.start_service(service)
            if stage[0].name == "redis":
                self._progress.doing("Starting Redis")
                self._until(self._redis_answers)
        self._until(self._redis_answers)
        with connect(self._settings) as client:
            KeyStore(client).lend(
                _LENT, self._secret, frozenset({Scope.READ, Scope.FREEZE}), _LENT_S
            )

    def _redis_answers(self) -> bool:
        try:
            redis_server.ping(self._settings)
        except redis_server.Loading:
            self._progress.doing("Redis reads its jobs back from disk")
            return False
        except redis_server.Unreachable:
            return False
        return True

    def _become_ready(self) -> None:
        self._progress.doing("Starting the API")
        self._until(self._api_answers)
        trouble = self._provide_demo() if self._options.demo else ""
        guarded = self._take_back()
        self._until(self._ready)
        self._progress.announce(f"Permafrost is ready at {self._options.url}")
        self._progress.tell(_who_enters(self._settings, guarded=guarded))
        if trouble:
            self._progress.tell(trouble)
        self._progress.tell(f"Press Ctrl-C to stop. Logs are in {self._layout.logs}.")

    def _take_back(self) -> bool:
        """Take the lent key back; returns whether a key was ever made."""
        try:
            with connect(self._settings) as client:
                KeyStore(client).take_back(_LENT)
                return KeyStore(client).guarded()
        except redis.RedisError:  # it expires by itself
            return True

    def _api_answers(self) -> bool:
        try:
            self._client.models()
        except PermafrostError:
            return False
        return True

    def _ready(self) -> bool:
        missing = self._readiness.missing()
        if missing:
            self._progress.doing(f"Waiting for the inference worker to load ({missing})")
        return not missing

    def _provide_demo(self) -> str:
        """Freeze the demo model unless it is there; returns what went wrong, if anything did."""
        try:
            if published(self._client):
                return ""
            for status in freeze(self._client):
                waits = status == "queued"
                self._progress.doing(
                    "The demo model waits for the freezing worker"
                    if waits
                    else "Freezing the demo model"
                )
                self._look(_POLL_S)
        except DemoError as error:
            return (
                f"The demo model {NAME} could not be frozen ({error}); all else works. "
                f"See {self._layout.log('freezing')}."
            )
        except PermafrostError as error:
            return f"The demo model {NAME} could not be submitted ({error}); all else works."
        return ""

    # -- watching ---------------------------------------------------------------------------

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._look(_POLL_S)

    def _look(self, seconds: float) -> None:
        """Wait a little, then see whether all is well; raises `StopRequest`."""
        self._progress.refresh()
        self._stop.wait(seconds)
        try:
            self._crashes.look(self._manager.statuses())
        except ManagerError:
            if self._manager.alive:
                return  # busy; the next look will tell
            self._restart_manager()

    def _restart_manager(self) -> None:
        """Begin anew after supervisord died; its services ended with it."""
        now = time.monotonic()
        self._deaths = [t for t in self._deaths if now - t < _MANAGER_DEATHS_S] + [now]
        if len(self._deaths) >= _MANAGER_DEATHS:
            raise StartError(
                f"The process manager ended {_MANAGER_DEATHS} times in a row: "
                f"see {self._layout.log('supervisord')}, then start again."
            )
        self._progress.tell("The process manager ended; everything is started again.")
        orphans.end(self._layout, lambda: self._stop.count > 0)
        self._crashes = Crashes(self._layout, self._services, self._progress.tell)
        self._start()

    # -- stopping ---------------------------------------------------------------------------

    def _stop_in_order(self) -> int:
        """Stop the API, then the workers, then Redis; returns the exit code."""
        # The API would wait for another request on an open connection.
        self._client.close()
        self._readiness.close()
        try:
            for stage in reversed(self._manager.stages):
                *others, last = (service.title for service in stage)
                names = f"{', '.join(others)} and {last}" if others else last
                self._progress.doing(f"Stopping {names}")
                self._stop_stage(stage)
            self._progress.doing("Stopping the process manager")
            self._manager.shut_down()
            while not self._manager.wait(0.05) and not self._stop.insisting:
                pass
        except ManagerError:
            # It died or hangs. Its death stops the services; nothing else needs its answer.
            self._manager.kill()
            orphans.end(self._layout, lambda: self._stop.insisting)
        self._end_at_once()
        self._progress.done()
        if self._stop.insisting:
            self._progress.tell("Stopped at once. Jobs in progress are taken up by the next start.")
            return _FORCED
        self._progress.tell("Stopped.")
        return 0

    def _stop_stage(self, stage: Sequence[Service]) -> None:
        for service in stage:
            self._manager.stop_service(service)
        while not self._stop.insisting:
            statuses = self._manager.statuses()
            if all(statuses[service.name].state in AT_REST for service in stage):
                return
            self._progress.refresh()
            time.sleep(0.05)

    def _end_at_once(self) -> None:
        """Leave no process, whatever happened."""
        self._manager.kill()
        self._manager.wait(5.0)
        orphans.kill(self._layout)
