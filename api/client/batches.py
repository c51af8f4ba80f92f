"""The requests for batches: open, add, seal, retry, and what came of them."""

import json
from collections.abc import Iterator

from api.client.address import path_part
from api.client.errors import NotPermafrostError
from api.client.exchange import Exchange, Json
from api.client.forms import ImageForm
from api.client.uploads import sendable


class BatchRequests(Exchange):
    """What a server does with many images."""

    def open_batch(self, *, model: str, top: int, key: str, webhook: str | None = None) -> Json:
        """Open a batch and return its job; the same `key` gives the same job again.

        `webhook`: an address that the server tells when the batch has ended.
        """
        asked = {"open": True, "model": sendable(model), "top": top, **_receiver(webhook)}
        return self._submit_json("/v1/batches", 0, asked, key=key)

    def batch_folder(
        self, folder: str, *, model: str, top: int, key: str, webhook: str | None = None
    ) -> Json:
        """Let the server classify a folder that it can read, and return the job.

        Raises `ServerError` with the code `not_found` where there is no such folder.
        """
        asked = {"folder": folder, "model": sendable(model), "top": top, **_receiver(webhook)}
        return self._submit_json("/v1/batches", 0, asked, key=key)

    def add_images(self, job_id: str, form: ImageForm) -> Json:
        """Add images to an open batch; paths that it has already are left out.

        Returns `{"added", "already", "skipped"}`. Raises `ServerError` with the code `conflict`
        where the batch takes no more.
        """
        answer = self._request(
            "POST",
            f"/v1/batches/{path_part(job_id)}/images",
            content=form.body(),
            headers=form.headers(),
        )
        return self._document(answer, "added")

    def seal(self, job_id: str) -> Json:
        """Say that nothing more is added, and return the job."""
        return self._submit(f"/v1/batches/{path_part(job_id)}/seal", 0)

    def retry(self, job_id: str) -> Json:
        """Queue the failed images of a batch again, and return the job."""
        return self._submit(f"/v1/batches/{path_part(job_id)}/retry", 0)

    def batch_paths(self, job_id: str) -> Iterator[str]:
        """Give the paths of all images that a batch has, in the order in which they came."""
        for line in self._lines(f"/v1/batches/{path_part(job_id)}/images", {}):
            yield str(self._read(line))

    def results(self, job_id: str, *, status: str | None = None) -> Iterator[Json]:
        """Give the finished images of a batch that has ended, one row each, as they arrive.

        `status`: only those that `succeeded` or `failed`.
        """
        asked = {"format": "jsonl"} if status is None else {"format": "jsonl", "status": status}
        for line in self._lines(f"/v1/batches/{path_part(job_id)}/results", {**asked}):
            row = self._read(line)
            if not isinstance(row, dict) or "path" not in row:
                raise self._strange()
            yield row

    def _read(self, line: bytes) -> object:
        try:
            return json.loads(line)
        except ValueError:
            raise self._strange() from None

    def _strange(self) -> NotPermafrostError:
        return NotPermafrostError(f"What {self.server} answers is not what Permafrost answers.")


def _receiver(webhook: str | None) -> Json:
    return {} if webhook is None else {"webhook": sendable(webhook)}
