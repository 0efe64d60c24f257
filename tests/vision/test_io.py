"""Image files to tensors and back."""

from __future__ import annotations

import io

import numpy as np
import pytest

import rushlight
from rushlight.vision import io as vision_io
from rushlight.vision.io import ImageReadMode, decode_image, read_image, write_jpeg, write_png

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 9, 11), dtype=np.uint8)


@pytest.fixture
def image():
    return rushlight.from_numpy(PIXELS.copy())


def test_png_keeps_every_pixel(tmp_path, image):
    for picture in (image, image[:1]):
        write_png(picture, tmp_path / "a.png")
        found = read_image(tmp_path / "a.png")
        assert rushlight.equal(found, picture) and found.is_contiguous()
        assert rushlight.equal(vision_io.decode_png(vision_io.encode_png(picture, 0)), picture)


def test_jpeg_is_close(tmp_path):
    smooth = rushlight.arange(64, dtype=rushlight.uint8).repeat(3, 40, 1)
    write_jpeg(smooth, str(tmp_path / "a.jpg"), quality=95)
    found = read_image(str(tmp_path / "a.jpg"))
    assert found.shape == (3, 40, 64) and (found.int() - smooth.int()).abs().max() <= 3
    both = vision_io.decode_jpeg(vision_io.encode_jpeg([smooth, smooth]))
    assert len(both) == 2 and both[0].shape == (3, 40, 64)


@pytest.mark.parametrize(
    "mode, channels", [("GRAY", 1), ("gray_alpha", 2), (ImageReadMode.RGB, 3), (ImageReadMode.RGB_ALPHA, 4), ("UNCHANGED", 3)]
)
def test_colours(tmp_path, image, mode, channels):
    write_png(image, tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", mode).shape == (channels, 9, 11)
    assert decode_image(tmp_path / "a.png", mode).shape == (channels, 9, 11)
    assert ImageReadMode.RGBA is ImageReadMode.RGB_ALPHA


def saved(picture, format="PNG", **settings):
    buffer = io.BytesIO()
    picture.save(buffer, format, **settings)
    return rushlight.from_numpy(np.frombuffer(buffer.getvalue(), np.uint8).copy())


def test_palettes_and_bits_are_resolved():
    picture = Image.fromarray(PIXELS.transpose(1, 2, 0))
    palette = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    assert np.array_equal(decode_image(saved(palette)).numpy().transpose(1, 2, 0), np.asarray(palette.convert("RGB")))
    assert set(decode_image(saved(picture.convert("1"))).unique().tolist()) == {0, 255}


def test_orientation():
    picture = Image.fromarray(PIXELS.transpose(1, 2, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    data = saved(picture, exif=exif)
    assert decode_image(data).shape == (3, 9, 11)
    assert decode_image(data, apply_exif_orientation=True).shape == (3, 11, 9)


def test_gif():
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    single = vision_io.decode_gif(saved(frames[0], "GIF"))
    assert single.shape == (3, 3, 4) and single[:, 0, 0].tolist() == [255, 0, 0]
    animation = vision_io.decode_gif(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert animation.shape == (2, 3, 3, 4) and animation[1, :, 0, 0].tolist() == [0, 0, 255]


def test_files(tmp_path):
    vision_io.write_file(tmp_path / "a", rushlight.tensor([1, 2, 255], dtype=rushlight.uint8))
    assert (tmp_path / "a").read_bytes() == b"\x01\x02\xff"
    assert vision_io.read_file(tmp_path / "a").tolist() == [1, 2, 255]


def test_errors_are_clear(tmp_path, image):
    with pytest.raises(RuntimeError, match="these 3 bytes are no image"):
        decode_image(rushlight.tensor([1, 2, 3], dtype=rushlight.uint8))
    with pytest.raises(RuntimeError, match="bytes of a file"):
        decode_image(image)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(RuntimeError, match="dtype should be uint8"):
        write_png(image.float(), tmp_path / "a.png")
    with pytest.raises(RuntimeError, match="1 or 3 channels"):
        vision_io.encode_jpeg(image[:2])
    with pytest.raises(ValueError, match="between 1 and 100"):
        vision_io.encode_jpeg(image, quality=0)
    with pytest.raises(RuntimeError, match="between 0 and 9"):
        vision_io.encode_png(image, 10)
    with pytest.raises(RuntimeError, match="more than 8 bits"):
        decode_image(saved(Image.frombytes("I;16", (2, 1), b"\0\1\0\2")))
    with pytest.raises(RuntimeError, match="write_file"):
        vision_io.write_file(tmp_path / "a", image)
