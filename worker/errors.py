"""Every error that a person or a client may see.

One root; each class carries its stable machine word (`code`), its HTTP status and, as its
message, one sentence that says what is wrong and what to do.
"""


class PermafrostError(Exception):
    """Something went wrong that the reader of the message can understand and act on."""

    code: str = "error"
    status: int = 500
    retry_after: int | None = None  # seconds after which trying again makes sense

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self)


class InvalidRequestError(PermafrostError):
    """The request itself is wrong; sending it again unchanged will not help."""

    code = "invalid_request"
    status = 400


class HostNotAllowedError(PermafrostError):
    """The request names a host that is not this server: perhaps a foreign name that leads here."""

    code = "host_not_allowed"
    status = 421


class ForeignOriginError(PermafrostError):
    """A page of another origin sent what changes something here."""

    code = "foreign_origin"
    status = 403


class KeyRequiredError(PermafrostError):
    """The request has no API key, and this server asks for one."""

    code = "key_required"
    status = 401


class KeyUnknownError(KeyRequiredError):
    """The request's API key is none of this server's, or was revoked."""

    code = "key_unknown"


class KeyExpiredError(KeyRequiredError):
    """The request's API key worked once, but its time has passed."""

    code = "key_expired"


class ScopeMissingError(PermafrostError):
    """The request's API key does not allow what was asked for."""

    code = "scope_missing"
    status = 403


class NotFoundError(PermafrostError):
    """There is nothing of that name or id."""

    code = "not_found"
    status = 404


class GoneError(PermafrostError):
    """The job existed, but its time to live has passed."""

    code = "expired"
    status = 410


class ConflictError(PermafrostError):
    """The request does not fit the present state of what it names."""

    code = "conflict"
    status = 409


class IdempotencyMismatchError(PermafrostError):
    """An idempotency key was used before with a different request."""

    code = "idempotency_key_reused"
    status = 422


class TooLargeError(PermafrostError):
    """An upload is larger than its limit."""

    code = "too_large"
    status = 413


class ArchiveTooLargeError(TooLargeError):
    """An archive holds more, or unpacks to more, than one may."""

    code = "archive_too_large"


class BadArchiveError(InvalidRequestError):
    """An archive is damaged, encrypted or empty, or holds what cannot be read from it."""

    code = "bad_archive"


class DamagedMemberError(BadArchiveError):
    """One file of an archive cannot be read; the others can."""

    code = "damaged_member"


class UnsupportedMediaError(PermafrostError):
    """An upload is not of a kind that can be worked on."""

    code = "unsupported_media"
    status = 415


class OverloadedError(PermafrostError):
    """The system has too much to do or to hold; the request may be sent again later."""

    code = "overloaded"
    status = 503
    retry_after = 5


class RateLimitedError(PermafrostError):
    """One client sends more than its share; the others are served."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ShareExceededError(RateLimitedError):
    """So much of one client's uploads waits that others might find no room; they are served."""

    code = "share_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=5)


class StoreUnavailableError(PermafrostError):
    """Redis does not answer or cannot be written; what was asked for was not confirmed."""

    code = "store_unavailable"
    status = 503
    retry_after = 2


class StorageError(PermafrostError):
    """A disk is full or cannot be written; what was asked for was not accepted."""

    DISK_FULL = (
        "The server's disk is full or cannot be written: nothing was accepted, try again later."
    )

    code = "storage"
    status = 507
    retry_after = 30


class ModelNotFoundError(NotFoundError):
    """No such model, version or alias is in the registry."""

    code = "model_not_found"


class ModelUnavailableError(PermafrostError):
    """A published version cannot be loaded by this worker."""

    code = "model_unavailable"
    status = 503


class ModelSetAsideError(PermafrostError):
    """A version went beyond its limits, or was retired by force: no worker loads it."""

    code = "model_set_aside"
    status = 409


class NotAClassifierError(PermafrostError):
    """The version was published to be downloaded; images cannot be classified with it."""

    code = "not_a_classifier"
    status = 422


class TakesNoImagesError(NotAClassifierError):
    """The version's input is not that of images."""

    code = "takes_no_images"


class GivesNoScoresError(NotAClassifierError):
    """The version's first output is not one row of scores per image."""

    code = "gives_no_scores"


class ImageError(PermafrostError):
    """An image cannot be read. `code` says why; the job or item fails with it."""

    code = "unreadable"
    status = 422


class NotAnImageError(ImageError):
    """The bytes are not an image of a supported kind."""

    code = "not_an_image"


class UnsupportedFormatError(ImageError):
    """The bytes are a picture, but of a format or of a variant of one that is not accepted."""

    code = "unsupported_format"
    status = 415


class TruncatedImageError(ImageError):
    """The image ends before its last pixel."""

    code = "truncated"


class ImageTooLargeError(ImageError):
    """The image has more pixels than allowed."""

    code = "too_many_pixels"


class ImageTooCostlyError(ImageError):
    """The image takes more of the processor's time to be decoded than allowed."""

    code = "too_costly"


class ImageFileTooLargeError(ImageError):
    """The file has more bytes than one image may have."""

    code = "file_too_large"


class UploadGoneError(ImageError):
    """The upload of a batch's image was deleted before it could be tried again."""

    code = "upload_gone"


class WebhookError(PermafrostError):
    """What `webhook` names is no address that this server sends to."""

    code = "invalid_webhook"
    status = 422


class WebhooksOffError(WebhookError):
    """The server has no secret to sign webhooks with, so it takes none."""

    code = "webhooks_off"


class FreezeError(PermafrostError):
    """A source cannot be frozen. `code` says why; the freeze job fails with it."""

    code = "freeze_failed"
    status = 422


class NewerRequestError(FreezeError):
    """A freeze or an inspection asks for what this program does not know yet."""

    code = "newer_request"


class SourceError(FreezeError):
    """The source is missing, incomplete or not of a known kind."""

    code = "bad_source"


class ExamplesError(FreezeError):
    """The examples of a freeze cannot be read, or there are none."""

    code = "bad_examples"


class UnknownNodeError(FreezeError):
    """A node named in the request is not in the graph."""

    code = "unknown_node"


class VerificationError(FreezeError):
    """The frozen graph does not answer as its source does; nothing was published."""

    code = "verification_failed"


class SettingError(PermafrostError):
    """An environment variable does not hold what its setting takes."""

    code = "bad_setting"
