"""How a job is shown in full: the same to who reads it and to who is told of its ending."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from worker.jobs.log_lines import LogLine
from worker.jobs.records import WITH_LOG, Job, Kind


def job_document(
    job: Job,
    *,
    labels: Mapping[str, int] | None = None,
    log: Sequence[LogLine] | None = None,
    root: str = "",
) -> dict[str, Any]:
    """Return a job as the contract shows it.

    `labels`: of a batch, how often each came first; `log`: of a freezing worker's job, what it
    reported, which its `steps` are read from; `root`: where the API lies, for the links.
    """
    self_url = f"{root}/v1/jobs/{job.id}"
    body = job.as_json()
    body["links"] = {"self": self_url, "results": None, "events": f"{self_url}/events"}
    if job.kind is Kind.BATCH:
        body["links"]["results"] = f"{root}/v1/batches/{job.id}/results"
        body["progress"] = job.progress.of_batch(round(time.time() * 1000))
        body["result"] = {"labels": labels or {}}
    if job.kind is Kind.FREEZE and job.result:  # the version that it published
        body["model"] = {
            "name": job.result["model"],
            "version": job.result["version"],
            "sha256": job.result["sha256"],
        }
    if job.kind is Kind.COMPARISON:
        body["model"] = {
            "name": job.options["model"],
            "version": job.options["version"],
            "sha256": job.options["sha256"],
        }
    if log is not None and job.kind in WITH_LOG:
        body["log"] = log
        body["steps"] = [line.step_json() for line in log if line.step]
    return body
