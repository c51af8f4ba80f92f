"""The requests that a server answers, one method each."""

from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from api.client.address import path_part
from api.client.batches import BatchRequests
from api.client.exchange import Json, Params, whole_seconds
from api.client.uploads import Body, LocalFile, json_bytes, multipart, opened, sendable

ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Client(BatchRequests):
    """The requests of one server, as `Exchange` describes them."""

    # -- submitting -------------------------------------------------------------------------

    def predict(
        self,
        image: Path | bytes,
        *,
        model: str,
        top: int | None = None,
        webhook: str | None = None,
        wait_s: float = 0,
    ) -> Json:
        """Submit one image and return its job; with `wait_s`, the server holds the answer.

        `webhook`: an address that the server tells when the job has ended. Freezes and inspections
        take it among their options.
        """
        params: Params = {"model": sendable(model)}
        if top is not None:
            params["top"] = top
        if webhook is not None:
            params["webhook"] = sendable(webhook)
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(image, bytes):
            return self._submit("/v1/predictions", wait_s, headers, params=params, content=image)
        with opened(image) as file:
            body = Body(file)
            return self._submit("/v1/predictions", wait_s, headers, params=params, content=body)

    def freeze_path(self, options: Json, *, wait_s: float = 0) -> Json:
        """Submit a freeze of `options["source"]`, a path under the server's sources root."""
        return self._submit_json("/v1/freezes", wait_s, options, repeatable=False)

    def freeze_upload(
        self,
        files: Sequence[LocalFile],
        options: Json,
        *,
        wait_s: float = 0,
        on_sent: Callable[[int], None] | None = None,
    ) -> Json:
        """Submit a freeze of files of this machine, streamed from disk.

        A single zip or tar file is sent as an archive. Where `options` name a source on the
        server, all files are samples or examples. `on_sent` is called with the number of
        bytes as they leave, and with a negative number where an upload starts again.
        """
        with multipart(files, options, on_sent) as parts:
            return self._submit("/v1/freezes", wait_s, repeatable=False, **parts)

    def inspect_path(self, options: Json, *, wait_s: float = 0) -> Json:
        """Submit an inspection of `options["source"]`, a path under the server's sources root."""
        return self._submit_json("/v1/inspections", wait_s, options)

    def inspect_upload(
        self,
        files: Sequence[LocalFile],
        options: Json | None = None,
        *,
        wait_s: float = 0,
        on_sent: Callable[[int], None] | None = None,
    ) -> Json:
        """Submit an inspection of files of this machine, sent as `freeze_upload` sends them."""
        with multipart(files, options or None, on_sent) as parts:
            return self._submit("/v1/inspections", wait_s, **parts)

    def compare(
        self,
        images: Sequence[Path],
        *,
        model: str,
        top: int | None = None,
        webhook: str | None = None,
        wait_s: float = 0,
    ) -> Json:
        """Submit a few images to try all ways of preparing them on; return the job."""
        fields = {"model": sendable(model), "top": top, "webhook": webhook and sendable(webhook)}
        params: Params = {name: value for name, value in fields.items() if value is not None}
        files = [LocalFile(path=path, name=path.name) for path in images]
        with multipart(files, None, None, field="images") as parts:
            return self._submit("/v1/comparisons", wait_s, params=params, **parts)

    # -- jobs -------------------------------------------------------------------------------

    def job(self, job_id: str, *, wait_s: float = 0) -> Json:
        """Return a job; with `wait_s`, the server holds the answer until it ended or as long."""
        params: Params = {"wait": whole_seconds(wait_s)} if wait_s > 0 else {}
        answer = self._request("GET", f"/v1/jobs/{path_part(job_id)}", wait_s=wait_s, params=params)
        return self._job(answer)

    def jobs(
        self,
        *,
        kind: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Json:
        """Return one page of jobs, newest first: `{"jobs": [...], "next": cursor or null}`."""
        asked = {"kind": kind, "status": status, "cursor": cursor, "limit": limit}
        params: Params = {
            name: sendable(value) if isinstance(value, str) else value
            for name, value in asked.items()
            if value is not None
        }
        return self._document(self._request("GET", "/v1/jobs", params=params), "jobs")

    def cancel(self, job_id: str) -> Json:
        """Cancel a job and return it as it is then."""
        answer = self._request("DELETE", f"/v1/jobs/{path_part(job_id)}")
        return self._job(answer) if answer.content else self.job(job_id)

    def wait_for(
        self,
        job: Json,
        on_update: Callable[[Json], None] | None = None,
        *,
        hold_s: float = 1.0,
    ) -> Json:
        """Return the job once it has ended; `on_update` is called with every state that is read.

        `hold_s`: seconds for which each request lets the server hold its answer. A server that
        answers at once instead (it bounds the requests that may wait) is asked less often.
        """
        on_update = on_update or (lambda _: None)
        pause = 0.1
        on_update(job)
        while job["status"] not in ENDED:
            asked = self._clock()
            job = self.job(str(job["id"]), wait_s=hold_s)
            on_update(job)
            if job["status"] not in ENDED and self._clock() - asked < hold_s / 2:
                self._sleep(pause)
                pause = min(pause * 2, 2.0)
        return job

    # -- what there is ----------------------------------------------------------------------

    def models(self) -> Json:
        """Return every model: `{"models": [...]}`."""
        return self._document(self._request("GET", "/v1/models"), "models")

    def model(self, name: str) -> Json:
        """Return one model with its aliases and versions."""
        return self._document(self._request("GET", f"/v1/models/{path_part(name)}"), "versions")

    def version(self, name: str, version: int) -> Json:
        """Return the manifest of one version."""
        answer = self._request("GET", f"/v1/models/{path_part(name)}/versions/{version}")
        return self._document(answer, "version")

    def republish(
        self,
        name: str,
        *,
        version: int | str = "stable",
        preprocessing: str | Json | None = None,
        labels: Sequence[str] | None = None,
        scores: str | None = None,
        alias: str = "stable",
    ) -> Json:
        """Publish a version's graph as the next version, with other preprocessing, labels, scores.

        What is not given stays as it is in `version`, a number or an alias. Returns the manifest of
        the new version, which `alias` means from then on.
        """
        given: Json = {"preprocessing": preprocessing, "labels": labels, "scores": scores}
        asked = {key: value for key, value in given.items() if value is not None}
        # Not sent again: one that was made and never heard of would be made twice.
        answer = self._request(
            "POST",
            f"/v1/models/{path_part(name)}/versions",
            repeatable=False,
            headers={"Content-Type": "application/json"},
            content=json_bytes({"from": version, "alias": alias, **asked}),
        )
        return self._document(answer, "version")

    def set_alias(self, name: str, alias: str, version: int) -> Json:
        """Make an alias of a model mean a version and return the model."""
        answer = self._request(
            "PUT",
            f"/v1/models/{path_part(name)}/aliases/{path_part(alias)}",
            headers={"Content-Type": "application/json"},
            content=json_bytes({"version": version}),
        )
        return self._document(answer, "aliases")

    def retire(self, name: str, version: int, *, force: bool = False) -> Json:
        """Take a version out of use for new jobs and return the model.

        With `force` also where an alias means it; `moved` says what such aliases mean now.
        """
        params: Params = {"force": "true"} if force else {}
        path = f"/v1/models/{path_part(name)}/versions/{version}"
        return self._document(self._request("DELETE", path, params=params), "aliases")

    def try_again(self, name: str, version: int) -> Json:
        """Have a version that was set aside tried again, and return the model."""
        path = f"/v1/models/{path_part(name)}/versions/{version}/set-aside"
        return self._document(self._request("DELETE", path), "aliases")

    def workers(self) -> Json:
        """Return one row per worker process: `{"workers": [...]}`."""
        return self._document(self._request("GET", "/v1/workers"), "workers")

    # -- API keys ---------------------------------------------------------------------------

    def own_key(self) -> Json | None:
        """Return id, name and scopes of the key that this client sends; None: none is needed."""
        found: Json | None = self._document(self._request("GET", "/v1/keys/own"), "key")["key"]
        return found

    def keys(self) -> Json:
        """Return every API key, without the keys themselves: `{"keys": [...]}`."""
        return self._document(self._request("GET", "/v1/keys"), "keys")

    def create_key(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        expires_days: float | None = None,
        rate: float | None = None,
    ) -> Json:
        """Make an API key; it is in `key` of what is returned, and nowhere else ever."""
        asked: Json = {"name": sendable(name), "scopes": [*scopes]}
        if expires_days is not None:
            asked["expires_days"] = expires_days
        if rate is not None:
            asked["rate"] = rate
        return self._key_request("/v1/keys", asked)

    def renew_key(
        self, key_id: str, *, grace_s: float | None = None, expires_days: float | None = None
    ) -> Json:
        """Make a key anew, with its id and jobs; the new one is in `key` of what is returned."""
        asked = {"grace_s": grace_s, "expires_days": expires_days}
        given = {name: value for name, value in asked.items() if value is not None}
        return self._key_request(f"/v1/keys/{path_part(key_id)}/renew", given)

    def revoke_key(self, key_id: str) -> Json:
        """Have a key work no more, and return what is known of it."""
        return self._document(self._request("DELETE", f"/v1/keys/{path_part(key_id)}"), "id")

    def _key_request(self, path: str, asked: Json) -> Json:
        # Not sent again: what was made and never heard of could not be told from another.
        answer = self._request(
            "POST",
            path,
            repeatable=False,
            headers={"Content-Type": "application/json"},
            content=json_bytes(asked),
        )
        return self._document(answer, "key")

    def ready(self) -> bool:
        """Return whether the server could make a prediction now. Raises nothing."""
        try:
            return self._http.get("/readyz", timeout=self._timeout(0)).status_code == 200
        except httpx.HTTPError:
            return False
