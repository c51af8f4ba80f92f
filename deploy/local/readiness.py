"""Whether the first prediction can be made, and if not, why."""

import httpx

_ANSWER_S = 5.0


class ReadinessProbe:
    """Asks one system, again and again; keeps its connection open meanwhile."""

    def __init__(self, url: str) -> None:
        # Nothing stands between a machine and itself: no proxy, no certificate. Reading the
        # authorities' certificates, as httpx does otherwise, costs more than all the asking.
        self._http = httpx.Client(base_url=url, timeout=_ANSWER_S, trust_env=False, verify=False)  # noqa: S501 # nosec B501

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def missing(self) -> str:
        """Return "" if the system is ready, else what is still missing, as it says itself."""
        try:
            answer = self._http.get("/readyz")
            if answer.status_code == httpx.codes.OK:
                return ""
            reasons = answer.json().get("reasons") or [answer.reason_phrase]
            return " ".join(str(reason) for reason in reasons)
        except (httpx.HTTPError, ValueError, AttributeError):
            return "The API does not answer."
