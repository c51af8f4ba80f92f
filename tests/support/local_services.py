"""The services of a local system, for tests."""

from typing import Any

from deploy.local.layout import Layout
from deploy.local.options import Options
from deploy.local.services import Service, services
from worker.settings import Settings


def all_services(layout: Layout, **options: Any) -> tuple[Service, ...]:
    chosen = Options(data=layout.data, workers=3, **options)
    return services(chosen, layout, Settings(data=layout.data), "/some where/redis-server")
