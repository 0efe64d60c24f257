"""Reads the zip archives that torch.save writes: a strict reader that trusts no declared size.

Everything the directory says is compared with the size of the file before anything is allocated, records must not
overlap, their checksums must match, and names that point outside the archive are refused.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import IO, Any, Final

import numpy as np

from rushlight.serialization.pickle_vm import shorten

_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_U32_MAX: Final = 0xFFFFFFFF
_U16_MAX: Final = 0xFFFF
STORED: Final = 0
DEFLATED: Final = 8
# Deflate cannot expand by more than this.
_DEFLATE_RATIO: Final = 1032
_CHUNK: Final = 1 << 22
# Names that would leave the folder an archive is unpacked in: absolute ones, drives, "..", NUL.
_OUTSIDE: Final = re.compile(r"^[/\\]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.([/\\]|$)|\0")


class Record:
    """One entry of the directory. size, stored_size: bytes before and after compression; limit: where the next entry
    starts."""

    __slots__ = ("name", "header", "size", "stored_size", "crc", "method", "limit")

    def __init__(self, name: str, header: int, size: int, stored_size: int, crc: int, method: int) -> None:
        self.name = name
        self.header = header
        self.size = size
        self.stored_size = stored_size
        self.crc = crc
        self.method = method
        self.limit = 0


class ZipReader:
    """The records of the archive that starts at the file's current position and ends at its end.

    label: how messages call the file. Raises `RuntimeError` for anything that is not a sound archive.
    """

    def __init__(self, file: IO[bytes], label: str) -> None:
        self.file = file
        self.label = label
        self.start = file.tell()
        self.size = file.seek(0, 2) - self.start
        count, directory, offset = self._find_directory()
        self.records = self._read_directory(count, directory, offset)

    def error(self, what: str) -> RuntimeError:
        return RuntimeError(f"load(): {self.label} is damaged: {what}. Fetch or save the file again")

    def _at(self, offset: int, count: int, what: str) -> bytes:
        if offset < 0 or offset + count > self.size:
            raise self.error(f"{what} should be at bytes {offset} to {offset + count}, but the file has {self.size}")
        self.file.seek(self.start + offset)
        data = self.file.read(count)
        if len(data) != count:
            raise self.error(f"{what} breaks off")
        return data

    def _find_directory(self) -> tuple[int, bytes, int]:
        """The number of entries, the directory's bytes and its offset."""
        tail_size = min(self.size, _END.size + _U16_MAX)
        tail = self._at(self.size - tail_size, tail_size, "the end of the archive")
        place = tail.rfind(b"PK\x05\x06")
        if place < 0 or place + _END.size > len(tail):
            raise self.error(
                f"it is a zip archive without its end, so its {self.size} bytes are only the first part: the download "
                "or copy broke off"
            )
        _, disk, _, _, count, size, offset, _ = _END.unpack_from(tail, place)
        end = self.size - tail_size + place
        if disk not in (0, _U16_MAX):
            raise self.error("it is one part of an archive that was split over several files")
        if end >= _END64_LOCATOR.size:
            signature, _, place64, _ = _END64_LOCATOR.unpack(
                self._at(end - _END64_LOCATOR.size, _END64_LOCATOR.size, "the archive's locator")
            )
            if signature == b"PK\x06\x07":
                fields = _END64.unpack(self._at(place64, _END64.size, "the archive's end record"))
                if fields[0] != b"PK\x06\x06":
                    raise self.error("the archive's end record is not where it should be")
                count, size, offset = fields[7], fields[8], fields[9]
                end = place64
        if offset + size > end:
            raise self.error("its directory reaches past its end, so part of the file is missing")
        return count, self._at(offset, size, "the archive's directory"), offset

    def _read_directory(self, count: int, directory: bytes, end: int) -> dict[str, Record]:
        if count > len(directory) // _CENTRAL.size:
            raise self.error(f"its directory declares {count} entries in {len(directory)} bytes")
        records: dict[str, Record] = {}
        place = 0
        for _ in range(count):
            if place + _CENTRAL.size > len(directory):
                raise self.error("its directory breaks off")
            fields = _CENTRAL.unpack_from(directory, place)
            name_size, extra_size, comment_size = fields[10], fields[11], fields[12]
            body = place + _CENTRAL.size
            place = body + name_size + extra_size + comment_size
            if fields[0] != b"PK\x01\x02" or place > len(directory):
                raise self.error("an entry of its directory is no entry")
            record = self._record(
                fields, directory[body : body + name_size], directory[body + name_size : body + name_size + extra_size]
            )
            if record.name in records:
                raise self.error(f"it holds {shorten(record.name)!r} twice")
            records[record.name] = record
        if place != len(directory):
            raise self.error(f"its directory holds more than the {count} entries it declares")
        self._set_limits(records, end)
        return records

    def _record(self, fields: tuple[Any, ...], raw_name: bytes, extra: bytes) -> Record:
        flags, method, crc, stored, size, header = fields[3], fields[4], fields[7], fields[8], fields[9], fields[16]
        name = raw_name.decode("utf-8" if flags & 0x800 else "cp437", "replace")
        if _OUTSIDE.search(name):
            raise RuntimeError(
                f"load(): {self.label} holds a record named {shorten(name)!r}, which points outside the archive. No "
                "checkpoint does; nothing was read or written"
            )
        if flags & 1:
            raise self.error(f"its record {shorten(name)!r} is encrypted, which torch.save never does")
        if method not in (STORED, DEFLATED):
            raise self.error(
                f"its record {shorten(name)!r} is compressed by method {method}; only stored and deflated records are "
                "read"
            )
        if _U32_MAX in (size, stored, header):
            size, stored, header = self._zip64(extra, size, stored, header)
        if method == STORED and size != stored:
            raise self.error(f"its record {shorten(name)!r} has two different sizes")
        if size > stored * _DEFLATE_RATIO + _DEFLATE_RATIO:
            raise self.error(
                f"its record {shorten(name)!r} declares {size} bytes out of {stored} compressed ones, which is "
                "impossible"
            )
        return Record(name, header, size, stored, crc, method)

    def _zip64(self, extra: bytes, size: int, stored: int, header: int) -> tuple[int, int, int]:
        """The 64-bit values behind fields that are all ones."""
        place = 0
        while place + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, place)
            if kind == 1:
                usable = min(length, len(extra) - place - 4)
                values = list(struct.unpack_from(f"<{usable // 8}Q", extra, place + 4))
                found = [values.pop(0) if values and value == _U32_MAX else value for value in (size, stored, header)]
                return found[0], found[1], found[2]
            place += 4 + length
        raise self.error("a record of more than 4 GiB lacks its 64-bit size")

    def _set_limits(self, records: dict[str, Record], end: int) -> None:
        """Each record must end before the next one starts."""
        ordered = sorted(records.values(), key=lambda record: record.header)
        for record, limit in zip(ordered, [*(following.header for following in ordered[1:]), end], strict=True):
            record.limit = limit
            if record.header + _LOCAL.size + record.stored_size > limit:
                raise self.error(
                    f"its record {shorten(record.name)!r} of {record.stored_size} bytes does not fit in its place"
                )

    def data_offset(self, record: Record) -> int:
        """Where the record's bytes start, counted from the start of the archive."""
        header = _LOCAL.unpack(self._at(record.header, _LOCAL.size, f"the record {shorten(record.name)!r}"))
        if header[0] != b"PK\x03\x04":
            raise self.error(f"the record {shorten(record.name)!r} is not where the directory says")
        offset = record.header + _LOCAL.size + int(header[9]) + int(header[10])
        if offset + record.stored_size > record.limit:
            raise self.error(f"the record {shorten(record.name)!r} reaches into the next one")
        return offset

    def read(self, name: str) -> bytes:
        """A record's bytes, checksum verified."""
        return self.read_array(name).tobytes()

    def read_array(self, name: str) -> np.ndarray[Any, Any]:
        """A record's bytes as a new one-dimensional uint8 array, checksum verified."""
        record = self.records[name]
        offset = self.data_offset(record)
        self.file.seek(self.start + offset)
        array = np.empty(record.size, np.uint8)
        crc = self._fill_stored(record, array) if record.method == STORED else self._fill_deflated(record, array)
        if crc != record.crc:
            raise self.error(
                f"the checksum of {shorten(name)!r} does not match: some of its bytes changed since it was saved"
            )
        return array

    def _fill_stored(self, record: Record, array: np.ndarray[Any, Any]) -> int:
        view, place, crc = array.data, 0, 0
        readinto = getattr(self.file, "readinto", None)
        while place < record.size:
            piece = view[place : place + _CHUNK]
            if readinto is not None:
                count = readinto(piece) or 0
            else:
                data = self.file.read(len(piece))
                count = len(data)
                piece[:count] = data
            if count <= 0:
                raise self.error(f"the record {shorten(record.name)!r} breaks off")
            crc = zlib.crc32(piece[:count], crc)
            place += count
        return crc

    def _fill_deflated(self, record: Record, array: np.ndarray[Any, Any]) -> int:
        view, place, crc, left = array.data, 0, 0, record.stored_size
        inflater = zlib.decompressobj(-15)
        try:
            while place < record.size and not inflater.eof:
                pending = inflater.unconsumed_tail
                if not pending:
                    pending = self.file.read(min(left, _CHUNK))
                    left -= len(pending)
                    if not pending:
                        break
                data = inflater.decompress(pending, record.size - place)
                view[place : place + len(data)] = data
                crc = zlib.crc32(data, crc)
                place += len(data)
        except zlib.error as error:
            raise self.error(
                f"the compressed record {shorten(record.name)!r} cannot be decompressed ({error})"
            ) from None
        if place != record.size:
            raise self.error(f"the compressed record {shorten(record.name)!r} breaks off")
        return crc
