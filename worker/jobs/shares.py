"""Shares: how much of Redis's memory may lie there for one client, so that others find room."""

from worker.errors import PermafrostError, ShareExceededError, TooLargeError


def too_much_held(*, held: int, more: int, most: int) -> PermafrostError:
    """Return the error that says why `more` bytes of a client that has `held` are too many."""
    if more > most:
        return TooLargeError(
            f"At most {most / 2**20:.1f} MiB of uploads may wait here for one client, and this one "
            f"has {more / 2**20:.1f} MiB: name a folder or a path that the server can read instead."
        )
    return ShareExceededError(
        f"{held / 2**20:.1f} MiB of your uploads wait here already, and one client may have "
        f"{most / 2**20:.1f} MiB, so that others find room: wait until some are done, then send it "
        "again."
    )
