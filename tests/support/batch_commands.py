"""What tests of batches from the command line name and do."""

import httpx

from tests.support.batch_server import BatchServer, ulid

B0 = ulid("b0")
NAMES = [*(f"{number}.jpg" for number in range(9)), "sub/9.png"]


def interrupt_at(server: BatchServer, method: str, ending: str, *, number: int = 1) -> None:
    """Press Ctrl-C at a request; once."""
    seen = 0

    def answer(request: httpx.Request) -> None:
        nonlocal seen
        if request.method == method and request.url.path.endswith(ending):
            seen += 1
            if seen == number:
                raise KeyboardInterrupt

    server.answer_before = answer
