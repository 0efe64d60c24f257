"""Downloading the archives of datasets, checking and unpacking them."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import zipfile

from rushlight.hub import download_url_to_file

Path = str | os.PathLike[str]


def calculate_md5(fpath: Path, chunk_size: int = 1024 * 1024) -> str:
    """The MD5 of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def check_md5(fpath: Path, md5: str) -> bool:
    """Whether a file has this MD5."""
    return calculate_md5(fpath) == md5


def check_integrity(fpath: Path, md5: str | None = None) -> bool:
    """Whether a file is there and, if given, has this MD5."""
    return os.path.isfile(fpath) and (md5 is None or check_md5(fpath, md5))


def download_url(url: str, root: Path, filename: str | None = None, md5: str | None = None) -> None:
    """Download `url` into the folder `root`, unless the file is there already and right.

    Raises `RuntimeError` when that fails; the message says what to do by hand.
    """
    folder = os.path.expanduser(root)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, filename or os.path.basename(url))
    if check_integrity(path, md5):
        return
    download_url_to_file(url, path)
    if not check_integrity(path, md5):
        found = calculate_md5(path)
        os.unlink(path)
        raise RuntimeError(
            f"File not found or corrupted: {url} sent a file with the MD5 {found}, expected {md5}, so it was thrown away. "
            "Try again; if it stays so, the server or something on the way (a proxy?) sends other data"
        )


def extract_archive(from_path: Path, to_path: Path | None = None, remove_finished: bool = False) -> str:
    """Unpack a .zip, .tar, .tar.gz, .tgz, .tar.xz or .gz file into the folder `to_path`, by default beside it.

    Members that would land outside of that folder are refused. Returns the folder, for a .gz file the unpacked file.
    """
    source = os.fspath(from_path)
    folder = os.path.dirname(source) if to_path is None else os.fspath(to_path)
    result = folder
    if source.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")):
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
    elif source.endswith(".zip"):
        with zipfile.ZipFile(source) as zipped:
            zipped.extractall(folder)
    elif source.endswith(".gz"):
        result = os.path.join(folder, os.path.basename(source)[: -len(".gz")])
        with gzip.open(source, "rb") as packed, open(result + ".partial", "wb") as plain:
            shutil.copyfileobj(packed, plain)
        os.replace(result + ".partial", result)
    else:
        raise RuntimeError(f"Unknown compression or archive type: {source!r} (.zip, .tar, .tar.gz, .tgz, .tar.xz and .gz are)")
    if remove_finished:
        os.unlink(source)
    return result


def download_and_extract_archive(
    url: str,
    download_root: Path,
    extract_root: Path | None = None,
    filename: str | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """`download_url` into the folder `download_root`, then `extract_archive` into `extract_root`, by default the same."""
    folder = os.path.expanduser(download_root)
    name = filename or os.path.basename(url)
    download_url(url, folder, name, md5)
    extract_archive(os.path.join(folder, name), extract_root or folder, remove_finished)
