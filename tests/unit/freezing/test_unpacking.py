"""Archives with models: unpacked into one folder and nowhere else, within bounds."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from freezing.sources.unpacking import SourceArchiveTooLargeError, unpacked
from worker.archives import ArchiveLimits
from worker.errors import SourceError

FILES = {"export/1/saved_model.pb": b"\x08\x01\x12\x00", "export/1/variables/variables.index": b"i"}
Pack = Callable[[dict[str, bytes]], bytes]


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


KINDS: list[Pack] = [
    zipped,
    tarred,
    lambda files: gzip.compress(tarred(files)),
    lambda files: bz2.compress(tarred(files)),
    lambda files: lzma.compress(tarred(files)),
]


def unpack(
    folder: Path, content: bytes, *, most_bytes: int = 100_000, most_files: int = 10
) -> Path:
    archive = folder / "upload" / "model.zip"
    archive.parent.mkdir()
    archive.write_bytes(content)
    limits = ArchiveLimits(entries=most_files, unpacked_bytes=most_bytes, ratio=100.0)
    return unpacked(archive.parent, folder / "unpacked", limits)


def tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("pack", KINDS)
def test_every_kind_of_archive_is_unpacked(tmp_path: Path, pack: Pack) -> None:
    extra = {"__MACOSX/export/._x": b"x", "export/._saved_model.pb": b"x"}
    folder = unpack(tmp_path, pack({**FILES, **extra}))
    assert folder == tmp_path / "unpacked" / "model"  # called like the archive
    assert tree(folder) == FILES


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_file_that_is_compressed_by_itself_keeps_its_name_and_labels(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "graph.pb.gz").write_bytes(compress(b"graph"))
    (tmp_path / "sent" / "labels.txt").write_bytes(b"cat")
    (tmp_path / "sent" / "train.py").write_bytes(b"x")
    limits = ArchiveLimits(entries=1, unpacked_bytes=100, ratio=100.0)
    folder = unpacked(tmp_path / "sent", tmp_path / "unpacked", limits)
    assert tree(folder) == {"graph.pb": b"graph", "labels.txt": b"cat"}
    limits = ArchiveLimits(entries=1, unpacked_bytes=4, ratio=100.0)
    with pytest.raises(SourceArchiveTooLargeError):
        unpacked(tmp_path / "sent", tmp_path / "again", limits)


def test_a_model_of_another_framework_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'model\.zip' is a PyTorch model"):
        unpack(tmp_path, zipped({"archive/data.pkl": b"x", "archive/version": b"3"}))


def test_what_is_no_archive_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.pb").write_bytes(b"x")
    keras = zipped({"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b"w"})
    (tmp_path / "b.keras").write_bytes(keras)
    for source in (tmp_path, tmp_path / "a.pb", tmp_path / "b.keras", tmp_path / "prefix"):
        limits = ArchiveLimits(entries=1, unpacked_bytes=1, ratio=1.0)
        found = unpacked(source, tmp_path / "unpacked", limits)
        assert found == source
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../outside", "/outside", "a/../../outside", "..\\outside", "C:\\outside"),
        *("a" * 300, "/".join("a" * 40)),
    ],
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, pack: Pack, name: str
) -> None:
    with pytest.raises(SourceError, match="none of a file inside a folder"):
        unpack(tmp_path, pack({"a.pb": b"x", name: b"x"}))
    assert not list(tmp_path.glob("**/outside"))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    stream = io.BytesIO(tarred(FILES))
    with tarfile.open(fileobj=stream, mode="a") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, kind in (("pipe", tarfile.FIFOTYPE), ("null", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info)
    folder = unpack(tmp_path, stream.getvalue())
    assert {path.name for path in folder.iterdir()} == {"export"}


def test_a_link_in_a_zip_is_left_out_and_nothing_is_written_through_it(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(tmp_path))
        archive.writestr("link/outside", b"x")
    folder = unpack(tmp_path, stream.getvalue())
    assert tree(folder) == {"link/outside": b"x"}
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("pack", KINDS)
def test_what_unpacks_to_too_much_is_refused_as_it_comes_out(tmp_path: Path, pack: Pack) -> None:
    with pytest.raises(SourceArchiveTooLargeError, match=r"model\.zip' unpacks to more than"):
        unpack(tmp_path, pack({"a": bytes(60_000), "b": bytes(60_000)}))
    assert sum(len(content) for content in tree(tmp_path / "unpacked").values()) <= 100_000


@pytest.mark.parametrize("pack", KINDS)
def test_too_many_files_are_refused(tmp_path: Path, pack: Pack) -> None:
    with pytest.raises(SourceArchiveTooLargeError, match="more than 10 entries"):
        unpack(tmp_path, pack({str(n): b"x" for n in range(11)}))


def head(name: str, kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_head_without_end_is_not_read_into_memory(tmp_path: Path, kind: bytes) -> None:
    content = gzip.compress(head("x", kind, 2**33 - 1) + bytes(1000))
    with pytest.raises(SourceError, match="says more about one of its files than is accepted"):
        unpack(tmp_path, content)


def test_what_is_passed_over_counts_too(tmp_path: Path) -> None:
    content = gzip.compress(head("pipe", b"Z", 2**33 - 1) + bytes(1000))
    with pytest.raises(SourceError):
        unpack(tmp_path, content)


@pytest.mark.parametrize("pack", KINDS)
@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_a_truncated_archive_is_named(tmp_path: Path, pack: Pack, keep: float) -> None:
    content = pack({"a": bytes(range(256)) * 100, "b": bytes(range(256)) * 100})
    with pytest.raises(SourceError, match=r"'model\.zip' is damaged"):
        unpack(tmp_path, content[: int(len(content) * keep)])


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    content = bytearray(zipped(FILES))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    with pytest.raises(SourceError, match="encrypted: send it without a password"):
        unpack(tmp_path, bytes(content))


def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="as a file and as a folder"):
        unpack(tmp_path, zipped({"a": b"x", "a/b": b"y"}))
