"""Clients of a benchmark: each sends one photograph after the other and waits for its answer."""

import http.client
import itertools
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

_PATIENCE_S = 30  # for which one request waits for its job


class Clients:
    """Sends single photographs to one system, over one connection per client."""

    def __init__(self, url: str, photographs: Sequence[bytes]) -> None:
        self._address = urlsplit(url).netloc
        self._photographs = photographs

    def run(self, count: int, clients: int) -> list[float]:
        """Have `count` photographs classified and return the seconds that each one took.

        Raises `AssertionError` where one was not.
        """
        turns = itertools.count()
        took: list[float] = []
        wrong: list[str] = []

        def work() -> None:
            connection = http.client.HTTPConnection(self._address, timeout=60)
            headers = {"Content-Type": "image/jpeg", "Prefer": f"wait={_PATIENCE_S}"}
            try:
                while not wrong and (turn := next(turns)) < count:
                    body = self._photographs[turn % len(self._photographs)]
                    started = time.perf_counter()
                    connection.request("POST", "/v1/predictions", body=body, headers=headers)
                    answer = connection.getresponse()
                    text = answer.read()
                    took.append(time.perf_counter() - started)
                    if answer.status != 200:
                        wrong.append(f"{answer.status}: {text[:300]!r}")
            except Exception as error:  # whatever it was, the benchmark must not go on
                wrong.append(repr(error))
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong[0]
        return took
