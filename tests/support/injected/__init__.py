"""What tests put into the processes of the system: faults, and what observes them.

Celery imports this with `-I`, gunicorn as its configuration (`-c python:`), both in the main
process before it forks. `PERMAFROST_TEST_INJECT` names the modules to import, separated by commas;
each does what its first line says as soon as it is imported.
"""

import importlib
import os

for _name in filter(None, os.environ.get("PERMAFROST_TEST_INJECT", "").split(",")):
    importlib.import_module(f"{__name__}.{_name}")
