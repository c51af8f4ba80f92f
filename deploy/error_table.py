"""The documentation of all error codes, made from the code.

Write it anew with `python -m deploy.error_table > docs/errors.md`. The code is read and not
imported, so that nothing need be installed or loaded for it. Codes come from classes of errors
(`code`, `status`, docstring), from calls that make an error out of a word, and from the Lua
scripts. What to do about each stands here: a code without it fails a test.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FOLDERS = ("worker", "api", "freezing", "deploy")
_ROOT_CLASS = "PermafrostError"
_MAKERS = {"failure", "_failure", "ErrorResponse", "problem"}  # take a code as a plain argument
_LUA = re.compile(r"\b(?:fail_item\([^,']*,[^,']*, |failure\()'([a-z_]+)'")
_WORD = re.compile(r"[a-z][a-z_]+\Z")

_HEAD = """\
# Error codes

Every refusal of the API is `application/problem+json` with one of these words in `code` and with
this `status`. Work that was accepted and fails later has the word in the `error` of its job, or of
its row in a batch's results; the answers that tell of it are 200. `detail` or `message` beside the
word says what is wrong in this case. The words do not change, so programs may rely on them.

This page is made from the code: `python -m deploy.error_table > docs/errors.md`.

| code | status | what it means | what to do |
| --- | --- | --- | --- |
"""

_FIX_REQUEST = "Change the request as the sentence says."
_FIX_IMAGE = "Send another image; the others of the batch are not concerned."
_SAY_SO = "See the log of the process, whose line says more, and report it."
_FREEZE_ANEW = "Change the source or the options as the sentence says, and freeze again."

# What to do about each code.
REMEDIES = {
    "all_failed": "Read the rows of the results: each says why; then retry the batch.",
    "archive_too_large": "Send fewer or smaller files, or several archives.",
    "bad_archive": "Make the archive anew: zip, tar or tar.gz, not encrypted.",
    "bad_examples": "Send an archive with one folder per class, or `examples.csv` with pictures.",
    "bad_sample": "Send pictures that can be read as samples.",
    "bad_setting": "Put the environment variable right; docs/settings.md lists all.",
    "bad_source": "`./permafrost inspect SOURCE` says what is in it and what is missing.",
    "batch_failed": "Read the rows of the results: each says why.",
    "batch_not_free": "Freeze without `--batch free`.",
    "cancelled": "Nothing: somebody cancelled the job. Submit it again if that was a mistake.",
    "cannot_start": "Do what the sentence says and start again.",
    "conflict": "Look at the present state of what the request names, then ask again.",
    "connection_lost": "Try again; if it happens again, look at the server's log.",
    "crashed": "Try another image or source. If it stays, the model makes TensorFlow crash.",
    "damaged_member": "Replace that file of the archive; the others were taken.",
    "demo_failed": "See the log of the freezing worker, or start with `--no-demo`.",
    "example_label": "Name the folders of the examples as the labels are named.",
    "examples_do_not_fit": "Send examples of the classes that the model knows.",
    "expectation_failed": "Send the request without `Expect`.",
    "expired": "Submit it again: results are kept for `PERMAFROST_RESULT_TTL_S`.",
    "file_too_large": "Make the file smaller, or raise `PERMAFROST_MAX_IMAGE_BYTES`.",
    "foreign_origin": "Use this server's pages, or add the origin to `PERMAFROST_ALLOWED_ORIGINS`.",
    "freeze_failed": _FREEZE_ANEW,
    "gives_no_scores": "Download the version and use it elsewhere, or freeze it with other "
    "outputs.",
    "headers_too_large": "Send fewer or shorter headers, cookies among them.",
    "host_not_allowed": "Use a name from `PERMAFROST_ALLOWED_HOSTS`, or add this one to it.",
    "idempotency_key_reused": "Take a new `Idempotency-Key` for a new request.",
    "internal_error": _SAY_SO,
    "invalid_request": _FIX_REQUEST,
    "invalid_webhook": "Name an `https` address that is not of this machine or network.",
    "key_expired": "Ask for a new API key: `./permafrost keys`.",
    "key_required": "Send `Authorization: Bearer KEY`; `./permafrost keys` makes one.",
    "key_unknown": "Check the API key: it was mistyped or revoked.",
    "label_count": "Give as many labels as the output has scores.",
    "labels_in_other_order": "Put the labels into the order that the sentence says.",
    "method_not_allowed": "Use a method from the answer's `Allow`.",
    "model_failed": "Try the model with other images; the sentence has TensorFlow's own words.",
    "model_not_found": "`./permafrost models` lists what there is.",
    "model_set_aside": "Use another version, or freeze the model anew.",
    "model_unavailable": "Try again in a moment; if it stays, see `./permafrost workers`.",
    "newer_request": "Wait until all workers run the newer program.",
    "no_averages": "Freeze without `--averages`: the checkpoint has none.",
    "no_images": "Send an archive or a folder that has images in it.",
    "no_moving_averages": "Name another value for the placeholder, or train with moving averages.",
    "no_outputs": "Name outputs with `--output`; `./permafrost inspect` ranks them.",
    "no_server": "Start one with `./permafrost up`, or name its address with `--server`.",
    "not_a_classifier": "Download the version and use it elsewhere.",
    "not_an_image": _FIX_IMAGE,
    "not_an_image_input": "Name another input with `--input`; `./permafrost inspect` ranks them.",
    "not_confined": "See docs/security.md: the kernel must allow it, or the setting be relaxed.",
    "not_convertible": "Freeze without `--runtime onnxruntime`.",
    "not_deterministic": "Set what is random with `--set`, for example `keep_prob=1.0`.",
    "not_ended": "Ask for the job again later: it goes on.",
    "not_finite": "Check the preprocessing of the model and the image.",
    "not_found": "Check the name or id.",
    "not_permafrost": "Check the address: something else answers there.",
    "not_runnable": _FREEZE_ANEW,
    "not_scores": "Name an output that is one row of scores for each image.",
    "out_of_memory": "Make the model or the image smaller, or raise the limit that the "
    "sentence names.",
    "output_failed": "Check the place and the free space of `--output`.",
    "overloaded": "Send it again after the seconds of `Retry-After`.",
    "poisoned": "The image or the model ends the process that works on it: try it alone.",
    "rate_limited": "Send it again after the seconds of `Retry-After`, and more slowly.",
    "redirected": "Name the address that it redirects to with `--server`.",
    "request_timeout": "Send the request again, faster, or in smaller parts.",
    "rows_not_independent": "Freeze a graph in which no image changes the answer of another.",
    "scope_missing": "Use an API key with that scope.",
    "share_exceeded": "Wait until your own jobs are done, then send more.",
    "stateful_graph": "Name outputs that need no state, or export the model without it.",
    "storage": "Free space on the server's disk, then try again.",
    "store_unavailable": "Try again in a moment; if it stays, look at Redis (docs/redis.md).",
    "takes_no_images": "Download the version and use it elsewhere.",
    "timed_out": "Try again when less waits, or raise the limit that the sentence names.",
    "too_costly": _FIX_IMAGE,
    "too_large": "Send less, or in parts, or raise the limit that the sentence names.",
    "too_large_to_freeze": "A graph file holds 2 GiB at most: freeze a smaller model.",
    "too_many_pixels": "Make the image smaller, or raise `PERMAFROST_MAX_IMAGE_PIXELS`.",
    "truncated": "Send the whole file.",
    "uri_too_long": "Send long values in the body.",
    "unknown_node": "Take a name from the sentence or from `./permafrost inspect`.",
    "unknown_signature": "Take a signature from the sentence.",
    "unreadable": _FIX_IMAGE,
    "unsafe_graph": "Take the op out of the model: docs/freezing.md says which may run.",
    "unsafe_source": "Export the model without code of its own: docs/freezing.md.",
    "unset_placeholders": "Give each a value with `--set`, for example `is_training=false`.",
    "unsound_report": _SAY_SO,
    "unsupported_format": "Send JPEG, PNG or another format that docs/images.md lists.",
    "unsupported_graph": "Freeze without that op, or with the TensorFlow that has it.",
    "unsupported_media": "Send an image, an archive or JSON, with its `Content-Type`.",
    "upload_broken": "Send the batch again.",
    "upload_gone": "Send the image again.",
    "verification_failed": "Set what is only for training with `--set`, for example "
    "`keep_prob=1.0`.",
    "webhooks_off": "Submit without `webhook`, or set `PERMAFROST_WEBHOOK_SECRET`.",
    "would_not_classify": "Take another name or alias, or name other inputs and outputs.",
}

# What codes mean that no class of errors stands for: by the code, its status ("" is none) and
# the meaning.
WITHOUT_CLASS = {
    "all_failed": ("", "Not one image of the batch could be classified."),
    "expectation_failed": ("417", "The request expects (`Expect`) what this server does not do."),
    "headers_too_large": ("431", "The request's headers are larger than is accepted."),
    "method_not_allowed": ("405", "The address is right, but not for this method."),
    "model_failed": ("", "The graph could not be run with this image."),
    "no_images": ("", "There was no image in what the batch was made of."),
    "not_finite": ("", "The model answered with NaN or infinity for this image."),
    "poisoned": ("", "The work was given up after as many attempts as are allowed."),
    "redirected": ("", "The address that the client was given redirects to another."),
    "request_timeout": ("408", "The request was too slow in coming."),
    "timed_out": ("", "The work, or the wait for it, took longer than it may."),
    "upload_broken": ("", "The request that brought the batch's images broke off."),
    "uri_too_long": ("414", "The request's address is longer than is accepted."),
    "would_not_classify": (
        "422",
        "The name or alias classifies images now, and the new version would not.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class _ErrorClass:
    bases: tuple[str, ...]
    code: str | None
    status: str | None
    meaning: str


def error_table() -> str:
    """Return the page, in Markdown."""
    rows = {**_of_classes(), **WITHOUT_CLASS}
    lines = [
        f"| `{code}` | {status} | {meaning} | {REMEDIES.get(code, '')} |\n"
        for code, (status, meaning) in sorted(rows.items())
    ]
    return _HEAD + "".join(lines)


def codes() -> set[str]:
    """Return every code that something in the code gives."""
    found = set(_of_classes())
    for tree in _trees():
        for node in ast.walk(tree):
            found.update(_given_by(node))
    for path in sorted(ROOT.glob("worker/**/*.lua")):
        found.update(_LUA.findall(path.read_text()))
    return found


@cache
def _trees() -> list[ast.Module]:
    paths = [path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [ast.parse(path.read_text()) for path in paths]


@cache
def _of_classes() -> dict[str, tuple[str, str]]:
    """Return the status and the meaning of each code that a class of errors has."""
    classes: dict[str, _ErrorClass] = {}
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, _error_class(node))
    found: dict[str, tuple[str, str]] = {}
    for name, one in classes.items():
        if one.code is None or name == _ROOT_CLASS or not _is_error(name, classes):
            continue
        status, meaning = found.get(one.code, (_status(name, classes), ""))
        found[one.code] = (status, f"{meaning} {one.meaning}".strip())
    return found


def _error_class(node: ast.ClassDef) -> _ErrorClass:
    values = {}
    for line in node.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                values[name] = str(value)
    first = (ast.get_docstring(node) or "").split("\n\n")[0]
    return _ErrorClass(
        bases=tuple(base.id for base in node.bases if isinstance(base, ast.Name)),
        code=values.get("code"),
        status=values.get("status"),
        meaning=" ".join(first.split()),
    )


def _is_error(name: str, classes: dict[str, _ErrorClass]) -> bool:
    if name == _ROOT_CLASS:
        return True
    return name in classes and any(_is_error(base, classes) for base in classes[name].bases)


def _status(name: str, classes: dict[str, _ErrorClass]) -> str:
    one = classes.get(name)
    if one is None or name == _ROOT_CLASS:
        return "500"
    return one.status or _status(one.bases[0], classes)


def _given_by(node: ast.AST) -> Iterator[str]:
    """Yield the codes that an expression or a statement gives to an error."""
    given: list[ast.expr] = []
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=words):
            if name in _MAKERS:
                given += args[:2]
            if name != "Finding":  # of an inspection: a note and not an error
                given += [word.value for word in words if word.arg == "code"]
        case ast.Assign(targets=[ast.Name(id="code") | ast.Attribute(attr="code")], value=value):
            given.append(value)
        case ast.Assign(
            targets=[ast.Tuple(elts=[ast.Name(id="code"), *_])], value=ast.Tuple(elts=[value, *_])
        ):
            given.append(value)
        case ast.Assign(targets=[ast.Name(id="_CODES")], value=ast.Dict(values=values)):
            given += values
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            given += [v for k, v in pairs if isinstance(k, ast.Constant) and k.value == "code"]
    for value in given:
        match value:
            case ast.Constant(value=str(word)) if _WORD.match(word):
                yield word


if __name__ == "__main__":
    sys.stdout.write(error_table())
