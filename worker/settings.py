"""Every setting: one field each, read from the environment once when a program starts."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.errors import SettingError
from worker.redis.address import check_redis_address
from worker.webhooks.secrets import read_secret
from worker.webhooks.targets import AllowedHosts

MIB = 1024 * 1024

_HOST_PATTERN = re.compile(
    r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[?[0-9a-f]*:[0-9a-f]*:[0-9a-f.:]*\]?"
)
_ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def _either(name: str, standard: str) -> AliasChoices:
    return AliasChoices(f"PERMAFROST_{name}", standard)


class Settings(BaseSettings):
    """What an operator can change. Each field is an environment variable `PERMAFROST_<FIELD>`."""

    model_config = SettingsConfigDict(
        env_prefix="PERMAFROST_",
        frozen=True,
        populate_by_name=True,
        extra="ignore",
        hide_input_in_errors=True,  # some of it is secret
    )

    data: Path = Field(
        Path("data"), description="Folder for the registry, the embedded Redis and logs."
    )
    redis_url: str = Field(
        "",
        repr=False,  # it may hold a password
        validation_alias=AliasChoices("REDIS_URL", "PERMAFROST_REDIS_URL"),
        description="Redis to use, as `redis://HOST:PORT/DB`, `rediss://` or `unix:///PATH?db=0`. "
        "Unset: the embedded Redis of the data folder.",
    )
    sources: str = Field(
        "",
        description="Roots of the folders that a freeze may name, separated by `:`. "
        "Unset: `sources` in the data folder.",
    )
    folders: str = Field(
        "",
        description="Roots of the folders that a batch may name, separated by `:`. "
        "Unset: `folders` in the data folder.",
    )
    host: str = Field(
        "127.0.0.1",
        description="Address at which the API is to be reached, as `up --host` is given it.",
    )
    url: str = Field(
        "http://127.0.0.1:8000", description="Server that the client commands talk to."
    )
    log_level: str = Field(
        "INFO",
        validation_alias=_either("LOG_LEVEL", "LOG_LEVEL"),
        description="Least severe log lines written: `DEBUG`, `INFO`, `WARNING` or `ERROR`.",
    )

    max_image_bytes: int = Field(
        20 * MIB, gt=0, description="Largest upload accepted as one image, in bytes."
    )
    max_image_pixels: int = Field(
        100_000_000,
        gt=0,
        le=178_956_970,  # where Pillow's own limit lies
        description="Largest image decoded, in pixels (width x height); at most 178956970.",
    )
    decode_time_limit_s: float = Field(
        3.0,
        gt=0,
        description="Processor time that one image may take to be decoded, in seconds. One that "
        "takes longer, or would by what its header says, fails with `too_costly`.",
    )
    decode_memory_bytes: int = Field(
        512 * MIB,
        gt=0,
        description="Memory that the decoding of one image may take, in bytes. One that needs more "
        "fails with `too_many_pixels`: 33 million pixels fit as WebP, 67 as CMYK, and as many as "
        "are allowed at all as plain JPEG or as PNG.",
    )
    reduced_decoding: bool = Field(
        True,
        description="Whether JPEGs of a million pixels and more are decoded at a half, a quarter "
        "or an eighth of their sides where the network's input is so small that three times its "
        "sides are left, and six times for an eighth. That is several times as fast and changes "
        "scores a little, by less than 0.01 on average: what is all but undecided may get "
        "another answer.",
    )
    max_model_bytes: int = Field(
        512 * MIB,
        gt=0,
        description="Largest upload of one model's files together, in bytes. "
        "Larger models are frozen from a path under a sources root.",
    )
    max_unpacked_bytes: int = Field(
        2048 * MIB,
        gt=0,
        description="Most that an archive with images or a model may unpack to, in bytes.",
    )
    max_unpacked_files: int = Field(
        10_000,
        gt=0,
        description="Most entries that an archive may have: files, folders, links and all others.",
    )
    max_unpacked_ratio: float = Field(
        100.0,
        gt=0,
        description="Most that an archive may unpack to as a multiple of its own size; judged "
        "where it unpacks to more than 64 MiB.",
    )
    max_request_bytes: int = Field(
        4096 * MIB,
        gt=0,
        description="Largest request with the images of a batch, in bytes; it is kept on the disk "
        "(`TMPDIR`) while it arrives.",
    )
    spool_bytes: int = Field(
        8192 * MIB,
        gt=0,
        description="Most that one API process keeps on the disk (`TMPDIR`) of requests that "
        "arrive and of answers that slow clients have not taken yet, in bytes. Above it requests "
        "that do not fit into memory are refused with 503.",
    )
    max_wait_s: float = Field(
        60.0, ge=0, description="Longest time that a request may wait for its job, in seconds."
    )
    max_waiting: int = Field(
        10_000,
        ge=0,
        description="Requests of one API process that may wait for jobs or follow events at the "
        "same time, each with some 20 kB of memory. Further ones are answered at once. With a "
        "server of another kind (`flask run`) each holds a thread: stay below their number.",
    )
    memory_limit_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Share of Redis's maxmemory above which uploads are refused with 503.",
    )
    client_memory_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of that which the uploads of one client may take while they wait; above "
        "it that client is refused with 429, and others are served. 0 or 1: no limit.",
    )
    redis_max_memory: int = Field(
        2048 * MIB, gt=0, description="maxmemory of the embedded Redis, in bytes."
    )

    max_queue_depth: int = Field(
        10_000,
        ge=0,
        description="Predictions that may wait; above it further ones are refused with 503. "
        "0: no limit, as with the five settings below.",
    )
    max_queue_age_s: float = Field(
        900.0,
        ge=0,
        description="Time that the oldest waiting prediction may have waited; above it further "
        "ones are refused with 503, in seconds.",
    )
    max_bulk_queue_depth: int = Field(
        1000,
        ge=0,
        description="Batches of which images may wait; above it further batches are refused "
        "with 503.",
    )
    max_bulk_queue_age_s: float = Field(
        6 * 3600.0,
        ge=0,
        description="Time that the oldest batch of which nothing is done yet may have waited; "
        "above it further batches are refused with 503, in seconds.",
    )
    max_freezing_queue_depth: int = Field(
        100,
        ge=0,
        description="Freezes and inspections that may wait; above it further ones are refused "
        "with 503.",
    )
    max_freezing_queue_age_s: float = Field(
        6 * 3600.0,
        ge=0,
        description="Time that the oldest waiting freeze or inspection may have waited; above it "
        "further ones are refused with 503, in seconds.",
    )
    client_rate: float = Field(
        0.0,
        ge=0,
        description="Submissions per second that one client, an API key or else an address, may "
        "send in the long run; above it they are refused with 429. 0: no limit.",
    )
    client_burst: int = Field(
        100,
        gt=0,
        description="Submissions that one client may send at once before "
        "`PERMAFROST_CLIENT_RATE` holds it back.",
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        description="Proxies in front of the API that add the client's address to "
        "X-Forwarded-For, and set X-Forwarded-Host, X-Forwarded-Proto and X-Forwarded-Prefix, the "
        "path under which the API is reached, if they send them. "
        "0: these headers are not believed.",
    )
    allowed_hosts: str = Field(
        "",
        description="Names under which the API may be reached, separated by commas: "
        "`photos.example.org`, `*.example.org` for all names below one, `*` for any, which is "
        "only safe behind a proxy that checks them. `localhost`, addresses such as `192.0.2.7`, "
        "which no foreign name can stand for, and the name that `up --host` is given are always "
        "allowed. Requests to other names are refused with 421.",
    )
    allowed_origins: str = Field(
        "",
        description="Origins such as `https://photos.example.org`, separated by commas, whose "
        "pages may send what changes something, beside the API's own pages, and may read the "
        "answers (CORS). Others are refused with 403.",
    )

    webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret that webhooks are signed with, as `whsec_BASE64`; two with a space "
        "between while receivers change from the second to the first. Unset: that of the file "
        "`webhook-secret` in the data folder, which `./permafrost webhooks secret` makes.",
    )
    webhook_hosts: str = Field(
        "",
        description="Hosts that webhooks may go to although they are private, and over plain http: "
        "names, `*.DOMAIN`, addresses and networks with commas between, each but a network with "
        "`:PORT` where no other port is meant.",
    )
    webhook_timeout_s: float = Field(
        15.0, gt=0, description="Time that one attempt at a webhook may take, in seconds."
    )
    webhook_retries: str = Field(
        "5,300,1800,7200,18000,36000,50400,72000,86400",
        pattern=r"^[0-9]{1,7}(,[0-9]{1,7}){0,99}$",
        description="Times to wait before each further attempt at a webhook, in seconds with "
        "commas between. After the last one it is given up.",
    )
    webhook_concurrency: int = Field(
        64, gt=0, le=1000, description="Webhooks that are sent at the same time."
    )
    webhook_host_concurrency: int = Field(
        4, gt=0, description="Webhooks that are sent to one host at the same time."
    )
    webhook_max_waiting: int = Field(
        10_000,
        gt=0,
        description="Webhooks to one host that may wait for their next attempt; above it, "
        "submissions that name the host are refused with 503.",
    )

    access: Literal["auto", "keys", "open"] = Field(
        "auto",
        description="Whether requests need an API key: `keys`, all do; `open`, none does; `auto`, "
        "none does until the first key was made, and all do from then on. Bound to other "
        "addresses than this machine's own, `auto` is `keys`.",
    )
    session_ttl_s: int = Field(
        12 * 3600,
        gt=0,
        description="Time after which a browser that signed in must do so again, in seconds.",
    )
    key_grace_s: float = Field(
        24 * 3600.0,
        ge=0,
        description="Time that the old one of a renewed API key still works, in seconds.",
    )
    api_key: str = Field(
        "",
        repr=False,
        description="API key that the client commands send. Only the server that they talk to "
        "should be able to read it, so rather write it to a file.",
    )
    api_key_file: str = Field(
        "",
        description="File with the API key that the client commands send, of mode 0600; each line "
        "is a key, or the URL of a server and its key. Unset: `~/.config/permafrost/keys`, "
        "where each line begins with the URL.",
    )

    result_ttl_s: int = Field(
        24 * 3600, gt=0, description="Time that a finished job can be read, in seconds."
    )
    tombstone_ttl_s: int = Field(
        7 * 24 * 3600,
        gt=0,
        description="Time that an expired job is answered with 410 instead of 404, in seconds.",
    )
    upload_ttl_s: int = Field(
        600,
        ge=0,
        description="Time that a photograph sent from the page is kept after its job ended, "
        "in seconds. Other uploads are deleted as soon as their job ends.",
    )
    queue_ttl_s: int = Field(
        24 * 3600,
        gt=0,
        description="Time that a job may wait in the queue before it fails with `timed_out`, "
        "in seconds.",
    )
    idempotency_ttl_s: int = Field(
        24 * 3600, gt=0, description="Time that an idempotency key is remembered, in seconds."
    )

    failed_upload_ttl_s: int = Field(
        3600,
        gt=0,
        description="Time that the upload of a batch's failed image is kept for a retry, "
        "in seconds. Should be less than the time that results are kept.",
    )
    open_batch_ttl_s: int = Field(
        24 * 3600,
        gt=0,
        description="Time after which a batch to which nothing is added is sealed, in seconds.",
    )
    stalled_upload_ttl_s: int = Field(
        30,
        gt=0,
        description="Time after which an upload is given up, and what it brought deleted, where "
        "the API process that takes it says nothing of it any more, in seconds. A request itself "
        "may take as long as it goes on.",
    )
    max_batch_queue: int = Field(
        2_000_000,
        gt=0,
        description="Images of one batch that may wait; above it, the listing of its folder pauses "
        "and images added to it are refused with 503.",
    )
    deduplicate: bool = Field(
        True, description="Whether images of a batch with the same bytes are classified once."
    )

    micro_batch: int = Field(
        32,
        gt=0,
        le=1024,
        description="Most images that a worker claims and runs through a graph at once; at most "
        "1024. Of batches fewer are claimed where they take long, so that nobody waits for them.",
    )
    lease_s: float = Field(
        15.0,
        ge=0.1,
        description="Time after which a claim that its worker stopped renewing is taken back, "
        "in seconds.",
    )
    max_attempts: int = Field(
        3, gt=0, description="Claims of one item before it fails with `poisoned`."
    )
    sweep_interval_s: float = Field(
        2.0,
        ge=0.1,
        description="Time between two sweeps for dead claims and lost tickets, in seconds.",
    )
    heartbeat_s: float = Field(
        2.0, ge=0.1, description="Time between two reports of a worker process, in seconds."
    )
    run_time_limit_s: float = Field(
        60.0,
        gt=0,
        description="Time that one micro-batch may take to be decoded and run, in seconds. Past it "
        "its process is replaced; an image that takes so long alone fails with `timed_out`.",
    )
    hang_time_s: float = Field(
        5.0,
        gt=0,
        description="Time after which a run of a model may be taken for one that never ends, in "
        "seconds, or twenty times what its first runs took where that is more. It is, where it "
        "has used the processor for a quarter of that. Its process is replaced then.",
    )
    max_strikes: int = Field(
        3,
        gt=0,
        description="Worker processes that runs of one version may cost within an hour, by never "
        "ending or by crashing, before the version is set aside.",
    )
    load_time_limit_s: float = Field(
        60.0,
        gt=0,
        description="Time that a version may take to be loaded and run for the first times, in "
        "seconds. Past it, it is set aside.",
    )
    run_memory_bytes: int = Field(
        2048 * MIB,
        gt=0,
        description="Memory that one run of a model may take beside what it takes loaded, in "
        "bytes; loading may take sixteen times its file more. Where only full micro-batches need "
        "more, smaller ones are run; a version that needs more for one image is set aside.",
    )
    task_time_limit_s: int = Field(
        150,
        gt=0,
        description="Time after which Celery kills a worker process whatever it does, in seconds; "
        "at least 75 more than the time that a micro-batch may take.",
    )
    stop_grace_s: float = Field(
        8.0,
        ge=0,
        description="Time that a worker asked to stop has to finish what it runs before that is "
        "handed back to others, in seconds. Should be less than what its manager waits for.",
    )
    worker_memory_bytes: int = Field(
        4096 * MIB,
        gt=0,
        description="Memory above which a worker process is replaced between two micro-batches, in "
        "bytes; at least a quarter more than it has with its graphs loaded.",
    )
    graph_memory_bytes: int = Field(
        1024 * MIB,
        gt=0,
        description="Sum of graph sizes that one worker process keeps loaded, in bytes; "
        "the least recently used is dropped first.",
    )
    intra_op_threads: int = Field(
        1, ge=0, description="Threads inside one operation of a graph; 0 lets the runtime choose."
    )
    inter_op_threads: int = Field(
        1, ge=0, description="Threads across operations of a graph; 0 lets the runtime choose."
    )

    freeze_time_limit_s: int = Field(
        900, gt=0, description="Time after which a freeze is stopped and fails, in seconds."
    )
    freeze_memory_bytes: int = Field(
        8192 * MIB, gt=0, description="Memory that one freeze may use, in bytes."
    )
    verify_time_limit_s: float = Field(
        120.0,
        gt=0,
        description="Time that a source, and each graph made from it, may take to be run on all "
        "samples, in seconds. Past it the freeze fails with `timed_out`. What was made may then "
        "take `PERMAFROST_LOAD_TIME_LIMIT_S` to be tried as it will be served, if that is less.",
    )
    freeze_confinement: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether a freeze is kept from the network, other processes and files that are "
        "not its own: `auto` as far as the kernel can, `required` or not at all, `off`.",
    )
    worker_confinement: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether a process that classifies is kept from the network but for Redis, "
        "from writing files, from reading others than models and batches, and from other "
        "processes: `auto` as far as the kernel can, `required` or not at all, `off`.",
    )
    allow_keras_code: bool = Field(
        False,
        description="Whether Keras files may bring code of their own: Lambda layers, which hold "
        "compiled Python, and classes of other packages that are installed. Only for sources "
        "that are trusted: such code can do whatever the freezing process can.",
    )
    verify_tolerance: float = Field(
        1e-4,
        gt=0,
        description="Largest absolute difference between the answers of a source and its frozen "
        "graph, relative to the largest answer where that is above 1.",
    )

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value))  # noqa: PTH100 - Path.resolve would follow links

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, value: str) -> str:
        for name in listed(value):
            if name != "*" and not _HOST_PATTERN.fullmatch(name):
                raise ValueError(
                    f"'{name}' is no name of a host: give names without scheme and port, such as "
                    "photos.example.org or *.example.org"
                )
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in listed(value):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"'{origin}' is no origin: give scheme, name and, where it is not the usual "
                    "one, port, such as https://photos.example.org"
                )
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: str) -> str:
        if value:
            check_redis_address(value)
        return value

    @field_validator("webhook_hosts")
    @classmethod
    def _webhook_hosts(cls, value: str) -> str:
        AllowedHosts.of(value)  # raises what is wrong with it
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _webhook_secret(cls, value: SecretStr) -> SecretStr:
        for secret in value.get_secret_value().split():
            read_secret(secret)
        return value

    @property
    def webhook_pauses_s(self) -> tuple[int, ...]:
        """Seconds to wait before each further attempt at a webhook."""
        return tuple(map(int, self.webhook_retries.split(",")))

    @property
    def models_folder(self) -> Path:
        """Where the registry keeps published versions."""
        return self.data / "models"

    @property
    def source_roots(self) -> tuple[Path, ...]:
        """Folders under which a freeze may name its source."""
        return _roots(self.sources) or (self.data / "sources",)

    @property
    def folder_roots(self) -> tuple[Path, ...]:
        """Folders under which a batch may name its images."""
        return _roots(self.folders) or (self.data / "folders",)


def listed(value: str) -> tuple[str, ...]:
    """Return the entries of a setting that are separated by commas, in lower case."""
    return tuple(entry.strip().lower() for entry in value.split(",") if entry.strip())


def _roots(value: str) -> tuple[Path, ...]:
    return tuple(Path(part).absolute() for part in value.split(":") if part)


def variables(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables that a field is read from, the one that wins first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"PERMAFROST_{name.upper()}"]


def read_settings(**fields: object) -> Settings:
    """Return the settings of the environment, with these fields instead.

    Raises `SettingError`, which says what is wrong, but nothing that is secret.
    """
    try:
        return Settings(**fields)  # type: ignore[arg-type]  # whatever a field takes
    except ValidationError as error:
        raise _setting_error(error) from None


def _setting_error(error: ValidationError) -> SettingError:
    """Return the error for the first thing that pydantic found wrong."""
    wrong = error.errors(include_url=False)[0]
    place = str(wrong["loc"][0]) if wrong["loc"] else ""
    field = Settings.model_fields.get(place.lower().removeprefix("permafrost_"))
    names = [place] if field is None else variables(place, field)
    name = next((one for one in names if one in os.environ), names[0])
    reason = wrong["msg"].removeprefix("Value error, ")
    secret = field is not None and (field.annotation is SecretStr or not field.repr)
    state = "cannot be used" if secret else f"is {wrong['input']!r}"
    return SettingError(f"The environment variable {name} {state} ({reason}): correct or unset it.")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read from the environment at the first call.

    Raises `SettingError`.
    """
    return read_settings()
