"""Reduction: large JPEGs are decoded smaller, and nothing else about them changes."""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from worker.errors import ImageError, ImageTooLargeError, TruncatedImageError
from worker.images.decode import Limits, decode, decode_for
from worker.images.preprocess import prepare
from worker.images.resizing import reduction
from worker.images.resizing.reduction import LARGE, LEFT, Box, scale_for
from worker.models.preprocessing import Preprocessing

MOST = 10_000_000
SMALL = Preprocessing(size=(64, 48), scale=1.0)
# Sides that 8 divides, and sides that not even 2 does.
EVEN, ODD = (960, 1280), (957, 1283)
KINDS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"subsampling": 0},
    {"subsampling": 1},
    {"quality": 40},
    {"restart_marker_blocks": 3},
]
SIDEWAYS = range(5, 9)  # EXIF orientations of cameras that were held on their side


def _scene(height: int, width: int) -> Image.Image:
    """Draw something that looks different from each side, as soft as a photograph."""
    rng = np.random.default_rng(7)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8))
    image = coarse.resize((width, height), Image.Resampling.BICUBIC)
    drawing = ImageDraw.Draw(image)
    drawing.ellipse((width * 0.1, height * 0.1, width * 0.3, height * 0.2), fill=(250, 20, 20))
    drawing.rectangle((width * 0.6, height * 0.7, width * 0.9, height * 0.8), fill=(10, 10, 240))
    return image.filter(ImageFilter.GaussianBlur(width / 400))


def _jpeg(image: Image.Image, orientation: int = 1, kind: str = "JPEG", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, **{"quality": 90, "exif": exif, **options})
    return buffer.getvalue()


def _both(content: bytes, spec: Preprocessing) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Any]:
    """Return a network's input from the whole image and from the reduced one, and that image."""
    picture = decode_for(content, spec, limits=Limits(pixels=MOST))
    whole = _input(decode(content, limits=Limits(pixels=MOST)), spec)
    return whole, _input(picture.image, spec, picture.box), picture.image


def _input(
    image: Image.Image, spec: Preprocessing, box: Box | None = None
) -> npt.NDArray[np.float32]:
    return np.asarray(prepare(image, spec, np.float32, box=box), np.float32)


@pytest.fixture(scope="module")
def scenes() -> dict[tuple[int, int], Image.Image]:
    """Return one scene of each size (height, width)."""
    return {size: _scene(*size) for size in (EVEN, ODD)}


# -- by how much ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "size", "scale"),
    [
        (4000, 3000, (128, 128), 4),
        (4000, 3000, (224, 224), 4),
        (4000, 3000, (299, 299), 2),
        (4000, 3000, (64, 64), 4),
        (4000, 3000, (32, 32), 8),
        (4000, 3000, (600, 600), 1),
        (12_000, 9_000, (128, 128), 8),
        (3000, 4000, (400, 500), 2),  # height and width
        (3000, 4000, (500, 500), 2),
        (3000, 4000, (500, 501), 1),
        (10_000, 700, (128, 128), 1),  # its low side is what counts
        (500, 375, (32, 32), 1),
        (999, 1000, (32, 32), 1),
        (1000, 1000, (32, 32), 4),
    ],
)
def test_the_scale_leaves_the_input_several_times(
    width: int, height: int, size: tuple[int, int], scale: int
) -> None:
    assert scale_for(width, height, Preprocessing(size=size)) == scale


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 1024), st.integers(1, 1024))
def test_whatever_is_reduced_is_large_and_stays_three_times_the_input(
    width: int, height: int, wanted_width: int, wanted_height: int
) -> None:
    scale = scale_for(width, height, Preprocessing(size=(wanted_height, wanted_width)))
    assert scale in {1, 2, 4, 8}
    if scale > 1:
        assert width * height >= LARGE
        assert width >= scale * LEFT[scale] * wanted_width
        assert height >= scale * LEFT[scale] * wanted_height


# -- the same picture -------------------------------------------------------------------------


def _cases() -> Iterator[tuple[tuple[int, int], int, str]]:
    return itertools.product((EVEN, ODD), range(1, 9), ("stretch", "crop", "pad"))


@pytest.mark.parametrize(("size", "orientation", "resize"), list(_cases()))
def test_a_reduced_picture_gives_the_input_that_the_whole_one_does(
    scenes: dict[tuple[int, int], Image.Image],
    size: tuple[int, int],
    orientation: int,
    resize: Any,
) -> None:
    # 15 times its input upright and 20 times on its side: a quarter either way.
    spec = SMALL.model_copy(update={"resize": resize})
    whole, reduced, image = _both(_jpeg(scenes[size], orientation), spec)
    height, width = (-(-side // 4) for side in size)
    assert image.size == ((height, width) if orientation in SIDEWAYS else (width, height))
    assert np.abs(whole - reduced).mean() < 0.5
    assert np.abs(whole - reduced).max() <= 4


def test_the_part_of_a_pixel_that_sticks_out_is_left_out(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    for orientation in range(1, 9):
        content = _jpeg(scenes[ODD], orientation)
        picture = decode_for(content, SMALL, limits=Limits(pixels=MOST))
        assert picture.box is not None
        left, top, right, bottom = picture.box
        wide, high = ODD if orientation in SIDEWAYS else ODD[::-1]
        assert (right - left, bottom - top) == (wide / 4, high / 4)
        careless, careful = (_input(picture.image, SMALL, box) for box in (None, picture.box))
        whole = _input(decode(content, limits=Limits(pixels=MOST)), SMALL)
        assert np.abs(whole - careful).mean() < np.abs(whole - careless).mean()


@pytest.mark.parametrize("options", KINDS, ids=lambda options: ",".join(options) or "plain")
def test_every_kind_of_jpeg_gives_the_same_input(
    scenes: dict[tuple[int, int], Image.Image], options: dict[str, Any]
) -> None:
    whole, reduced, image = _both(_jpeg(scenes[EVEN], **options), SMALL)
    assert image.size == (320, 240)
    assert np.abs(whole - reduced).max() <= 4


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colours_of_jpegs_stay_what_they_are(
    scenes: dict[tuple[int, int], Image.Image], mode: str
) -> None:
    whole, reduced, image = _both(_jpeg(scenes[EVEN].convert(mode)), SMALL)
    assert (image.mode, image.size) == (mode, (320, 240))
    assert np.abs(whole - reduced).max() <= 4


@pytest.mark.parametrize("keep_rgb", [False, True])
def test_a_network_that_takes_grey_gets_the_same_grey(
    scenes: dict[tuple[int, int], Image.Image], keep_rgb: bool
) -> None:
    spec = SMALL.model_copy(update={"color": "gray"})
    whole, reduced, image = _both(_jpeg(scenes[EVEN], keep_rgb=keep_rgb), spec)
    assert (image.mode, image.size) == ("L", (320, 240))
    assert np.abs(whole - reduced).mean() < 0.5
    assert np.abs(whole - reduced).max() <= 4


def test_of_a_phones_two_pictures_the_first_counts(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    second = Image.new("RGB", EVEN[::-1], "lime")
    content = _jpeg(scenes[EVEN], 6, "MPO", save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(content)).format == "MPO"
    whole, reduced, image = _both(content, SMALL)
    assert image.size == (240, 320)
    assert np.abs(whole - reduced).max() <= 4


def test_damaged_exif_data_do_not_keep_a_picture_from_being_reduced(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    content = _jpeg(scenes[EVEN], exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode_for(content, SMALL, limits=Limits(pixels=MOST)).image.size == (320, 240)


# -- what is never reduced --------------------------------------------------------------------


def _is_whole(content: bytes, spec: Preprocessing = SMALL) -> bool:
    picture = decode_for(content, spec, limits=Limits(pixels=MOST))
    whole = decode(content, limits=Limits(pixels=MOST))
    return picture.box is None and picture.image.tobytes() == whole.tobytes()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_other_kinds_are_decoded_whole(
    scenes: dict[tuple[int, int], Image.Image], kind: str
) -> None:
    buffer = io.BytesIO()
    scenes[ODD].save(buffer, kind)
    assert _is_whole(buffer.getvalue())


def test_a_tiff_that_holds_a_jpeg_is_decoded_whole(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    buffer = io.BytesIO()
    scenes[ODD].save(buffer, "TIFF", compression="jpeg")
    assert _is_whole(buffer.getvalue())


def test_a_small_picture_is_decoded_whole() -> None:
    assert _is_whole(_jpeg(_scene(375, 500)), Preprocessing(size=(16, 16)))


def test_a_large_picture_for_a_large_input_is_decoded_whole(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    assert _is_whole(_jpeg(scenes[EVEN]), Preprocessing(size=(224, 224)))


def test_without_an_input_to_decode_for_everything_is_decoded(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    picture = decode_for(_jpeg(scenes[EVEN]), None, limits=Limits(pixels=MOST))
    assert (picture.image.size, picture.box) == (EVEN[::-1], None)


def _lossless(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return grey pixels as a lossless JPEG, each predicted from its left (ITU T.81, annex H)."""
    bits = []
    before = np.int16(128)
    for number, line in enumerate(pixels.astype(np.int16)):
        if number:
            before = pixels.astype(np.int16)[number - 1, 0]
        for value in line:
            difference = int(value - before)
            category = abs(difference).bit_length()
            bits.append(f"{category:04b}")
            if category:
                low = difference if difference > 0 else difference + (1 << category) - 1
                bits.append(f"{low:0{category}b}")
            before = value
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    packed = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    height, width = (side.to_bytes(2, "big") for side in pixels.shape)
    return (
        b"\xff\xd8"
        + segment(0xC4, bytes([0, 0, 0, 0, 9, *[0] * 12, *range(9)]))  # nine codes of four bits
        + segment(0xC3, bytes([8]) + height + width + bytes([1, 1, 0x11, 0]))
        + segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
        + packed
        + b"\xff\xd9"
    )


def test_a_lossless_jpeg_is_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "LARGE", 1000)
    pixels = np.random.default_rng(2).integers(0, 256, (60, 80), dtype=np.uint8)
    picture = decode_for(_lossless(pixels), Preprocessing(size=(4, 4)), limits=Limits(pixels=MOST))
    assert np.array_equal(np.asarray(picture.image), pixels)


def test_a_jpeg_with_bytes_between_its_segments_is_decoded_smaller_as_any(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    content = _jpeg(scenes[EVEN])
    assert not _is_whole(content)
    assert not _is_whole(content[:2] + b"\xff" + content[2:])


# -- limits and damage ------------------------------------------------------------------------


def test_the_limit_on_pixels_is_for_those_of_the_file(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    content = _jpeg(scenes[EVEN])
    with pytest.raises(ImageTooLargeError, match="1280 x 960 pixels; at most 1,228,799"):
        decode_for(content, SMALL, limits=Limits(pixels=1_228_799))
    assert decode_for(content, SMALL, limits=Limits(pixels=1_228_800)).image.size == (320, 240)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"kind": "MPO"}], ids=str)
def test_a_picture_that_is_cut_off_says_so(
    scenes: dict[tuple[int, int], Image.Image], options: dict[str, Any], share: float
) -> None:
    content = _jpeg(scenes[EVEN], **options)
    with pytest.raises(TruncatedImageError):
        decode_for(content[: int(len(content) * share)], SMALL, limits=Limits(pixels=MOST))


def test_damage_is_told_as_for_the_whole_picture(
    scenes: dict[tuple[int, int], Image.Image],
) -> None:
    content = _jpeg(scenes[EVEN])
    rng = np.random.default_rng(5)

    def said(damaged: bytes, spec: Preprocessing | None) -> str:
        try:
            decode_for(damaged, spec, limits=Limits(pixels=MOST))
        except ImageError as error:
            return f"{error.code}: {error.message}"
        return "It is well."

    answers = set()
    for number in range(60):
        damaged = bytearray(content)
        for place in rng.integers(2, 700 if number % 3 else len(content), size=2):
            damaged[place] = rng.integers(0, 256)
        whole = said(bytes(damaged), None)
        assert said(bytes(damaged), SMALL) == whole
        answers.add(whole)
    assert len(answers) > 1


# -- what prepare makes of it -----------------------------------------------------------------


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from(["stretch", "crop", "pad"]),
)
def test_an_image_without_a_box_is_resized_as_pillow_does_it(
    have: tuple[int, int], want: tuple[int, int], resize: Any
) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (*have, 3), dtype=np.uint8)
    image, (height, width) = Image.fromarray(pixels), want
    method = Image.Resampling.BILINEAR
    expected = {
        "stretch": lambda: image.resize((width, height), method),
        "crop": lambda: ImageOps.fit(image, (width, height), method),
        "pad": lambda: ImageOps.pad(image, (width, height), method, color=0),
    }[resize]()
    found = prepare(image, Preprocessing(size=want, resize=resize, scale=1.0), np.uint8)
    assert np.array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int8"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "HW", "flat"])
def test_an_input_is_written_into_its_row_of_a_batch(dtype: str, layout: Any) -> None:
    color: Any = "gray" if layout == "HW" else "bgr"
    spec = Preprocessing(size=(6, 5), layout=layout, color=color, mean=[0.3], std=[0.2])
    batch = np.full((3, *spec.shape), 77, dtype)
    image = _scene(30, 40)
    row = prepare(image, spec, np.dtype(dtype), out=batch[1])
    assert np.shares_memory(row, batch)
    assert np.array_equal(batch[1], prepare(image, spec, np.dtype(dtype)))
    assert (batch[[0, 2]] == 77).all()
