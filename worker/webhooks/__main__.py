"""The program that delivers webhooks: `python -m worker.webhooks`, until SIGTERM or Ctrl-C.

    python -m worker.webhooks secret [--new]

prints the secret that they are signed with, and makes it where there is none.

    python -m worker.webhooks check

ends with 0 where a deliverer of this machine reports, for a container's health check.
"""

import argparse
import asyncio
import os
import signal
import sys

from worker.logging import configure_logging
from worker.settings import get_settings
from worker.webhooks.deliverer import Deliverer, is_running
from worker.webhooks.signatures import make_secret


async def _deliver() -> None:
    deliverer = Deliverer(get_settings())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, deliverer.stop)
    await deliverer.run()


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m worker.webhooks")
    commands = parser.add_subparsers(dest="command")
    secret = commands.add_parser("secret", help="print the secret; make it where there is none")
    secret.add_argument("--new", action="store_true", help="make another; the last one stays valid")
    commands.add_parser("check", help="tell by the exit code whether one runs on this machine")
    chosen = parser.parse_args()
    if chosen.command == "check":
        sys.exit(0 if is_running(get_settings()) else 1)
    if chosen.command == "secret":
        sys.stdout.write("\n".join(make_secret(get_settings(), renew=chosen.new)) + "\n")
        return
    configure_logging(get_settings().log_level)
    asyncio.run(_deliver())
    sys.stderr.flush()
    os._exit(0)  # threads that ask for addresses cannot be interrupted


if __name__ == "__main__":
    main()
