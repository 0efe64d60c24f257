"""What a file that is no checkpoint seems to be, so that the message can say it."""

from __future__ import annotations

from typing import Final

HEAD: Final = 512

_SIGNATURES: Final = (
    (
        b"version https://git-lfs",
        "a git-lfs pointer, not the file itself: run `git lfs pull` in that repository (or download the file "
        "from its web page) to get the real one",
    ),
    (b"\x1f\x8b", "gzip-compressed: decompress it first (gzip -d, or load(gzip.open(path)))"),
    (b"BZh", "bzip2-compressed: decompress it first (bzip2 -d)"),
    (b"\xfd7zXZ\x00", "xz-compressed: decompress it first (xz -d)"),
    (b"\x28\xb5\x2f\xfd", "zstandard-compressed: decompress it first (zstd -d)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras?), which h5py reads"),
    (b"\x93NUMPY", "a NumPy .npy file: use numpy.load"),
    (b"GGUF", "a GGUF file (llama.cpp), which the gguf package reads"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x7fELF", "a program or shared library"),
    (b"%PDF", "a PDF document"),
)


def describe(head: bytes) -> str | None:
    """What a file starting with `head` is, as the end of "the file is ...", or None when that is not known."""
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            return what
    if head[257:262] == b"ustar":
        return (
            "a tar archive. torch before 0.2 saved in a tar format, which is not read: load it once with an old torch "
            "and save it again"
        )
    if head and not head.strip(b"\0"):
        return "filled with zeros: its download or copy broke off"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return (
            "a web page (HTML), not a checkpoint: the download got a login, consent or error page. Open the link in a "
            "browser, or use the direct link to the file"
        )
    if text.startswith(b"<?xml"):
        return "an XML document (often a server's error message), not a checkpoint: the download failed; fetch it again"
    if text.startswith((b"{", b"[")):
        return "JSON text (often a server's error message, or a model's configuration), not a checkpoint"
    return None
