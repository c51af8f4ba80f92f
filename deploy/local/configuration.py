"""The configuration of supervisord, and the environment that it and the services get."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.layout import Layout
from deploy.local.services import Service

ROOT = Path(__file__).resolve().parents[2]  # of Permafrost; the services' working folder
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
MARK = "PERMAFROST_UP"  # in the environment of every process of a local system: its data folder

# Whoever runs `up` may be a client too; no service has any business with that key.
_CLIENTS = frozenset({"PERMAFROST_API_KEY", "PERMAFROST_API_KEY_FILE"})
_LOG_BYTES = "20MB"  # per log file
_LOG_BACKUPS = 4  # rotated log files kept per service
_ENOUGH_TRIES = 1_000_000_000  # supervisor waits one second longer before each: never gives up


def environment(layout: Layout, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of supervisord and, through it, of every service."""
    return {
        **{name: value for name, value in base.items() if name not in _CLIENTS},
        MARK: str(layout.data),
        "PERMAFROST_DATA": str(layout.data),
        # Paths go into the configuration by way of the environment, where they need no quoting.
        "PERMAFROST_UP_ROOT": str(ROOT),
        "PERMAFROST_UP_SOCKET": str(layout.supervisor_socket),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",  # a log line is in the log when it is written
    }


def dying_with_parent(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command that ends with the process that starts it."""
    return (sys.executable, "-I", str(DIE_WITH_PARENT), *command)


def configuration(services: Sequence[Service]) -> str:
    """Return the text of supervisord.conf.

    Relative paths are below the data folder, in which supervisord runs.
    """
    # Named, because supervisord complains about running as root only where that may be a mistake.
    user = ["user=0"] if os.getuid() == 0 else []
    stages = sorted({service.stage for service in services})
    groups = [_group(stage, [s for s in services if s.stage == stage]) for stage in stages]
    return "\n".join([_HEAD, *user, _BODY, *groups, *map(_program, services)])


_HEAD = f"""\
; Written by `permafrost up` at every start; changes here are lost.
[supervisord]
nodaemon=true
silent=true
logfile=logs/supervisord.log
logfile_maxbytes={_LOG_BYTES}
logfile_backups={_LOG_BACKUPS}
pidfile=run/supervisord.pid
childlogdir=logs
umask=077
nocleanup=true
minprocs=1"""

_BODY = """
[unix_http_server]
file=%(ENV_PERMAFROST_UP_SOCKET)s
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""


def _group(stage: int, services: Sequence[Service]) -> str:
    """Return the section of one stage: groups are stopped one after another, whole."""
    return f"""\
[group:{group_name(stage)}]
programs={",".join(service.name for service in services)}
priority={stage}
"""


def group_name(stage: int) -> str:
    """Return what supervisor calls the services of a stage together."""
    return f"stage{stage}"


def _program(service: Service) -> str:
    """Return the sections of one service.

    A stop signal goes to the service alone, because celery and gunicorn tell their children
    themselves and finish their work first; SIGKILL goes to the whole process group.
    """
    return f"""\
[program:{service.name}]
command={_quoted(dying_with_parent(service.command))}
directory=%(ENV_PERMAFROST_UP_ROOT)s
autostart=false
autorestart=true
startsecs={service.start_s}
startretries={_ENOUGH_TRIES}
stopsignal=TERM
stopwaitsecs={service.stop_s}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{service.name}.log
stdout_logfile_maxbytes={_LOG_BYTES}
stdout_logfile_backups={_LOG_BACKUPS}
"""


def _quoted(command: Sequence[str]) -> str:
    """Return a command as supervisor reads it back.

    It expands `%`, takes ` ;` and ` #` for the start of a comment even within quotes, and then
    splits as a shell does; a backslash before each unusual character survives all three.
    """
    words = (re.sub(r"([^\w@%+=:,./-])", r"\\\1", word) or "''" for word in command)
    return " ".join(words).replace("%", "%%")
