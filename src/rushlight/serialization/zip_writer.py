"""Writes zip archives byte for byte as torch.save lays them out: stored records whose data starts at multiples of 64
bytes."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import IO, Any, Final

ALIGNMENT: Final = 64
# From here on, sizes and offsets need their 64-bit form.
LARGE: Final = 0xFFFFFFFF
_U32_MAX: Final = 0xFFFFFFFF
_SIZES_FOLLOW: Final = 0x0008
_UTF8: Final = 0x0800
# A record is padded by an extra field of this kind, as torch does.
_PADDING_ID: Final = b"FB"


class ZipWriter:
    """Appends records to `file`, which need not be seekable. `prefix` is the folder all records lie in."""

    def __init__(self, file: IO[bytes], prefix: str) -> None:
        self.file = file
        self.prefix = prefix
        self.place = 0
        self.entries: list[bytes] = []
        self.names_and_sums: list[tuple[str, int]] = []

    def _write(self, data: Any) -> None:
        view = memoryview(data).cast("B") if len(data) else b""
        while len(view):
            # A raw file may take less than it is given, and says how much; buffered ones take all.
            count = self.file.write(view)
            count = len(view) if count is None else count
            self.place += count
            view = view[count:]

    def write_record(self, name: str, data: Any) -> None:
        """Add a record; `data` is anything with a flat byte buffer."""
        size, header = len(data), self.place
        path = f"{self.prefix}/{name}".encode()
        crc = zlib.crc32(data) if size else 0
        flags = _UTF8 | (_SIZES_FOLLOW if size else 0)
        wide = struct.pack("<2H2Q", 1, 16, size, size) if size >= LARGE else b""
        used = header + 30 + len(path) + len(wide) + 4
        padding = -used % ALIGNMENT
        extra = wide + _PADDING_ID + struct.pack("<H", padding) + b"Z" * padding
        declared = _U32_MAX if wide else 0
        self._write(
            struct.pack("<4s5H3L2H", b"PK\x03\x04", 0, flags, 0, 0, 0, 0, declared, declared, len(path), len(extra))
            + path
            + extra
        )
        self._write(data)
        if size:
            layout = "<4sL2Q" if wide or header >= LARGE else "<4s3L"
            self._write(struct.pack(layout, b"PK\x07\x08", crc, size, size))
        self._add_entry(path, flags, crc, size, header)
        self.names_and_sums.append((name, crc))

    def _add_entry(self, path: bytes, flags: int, crc: int, size: int, header: int) -> None:
        short_size, short_header = (_U32_MAX if value >= LARGE else value for value in (size, header))
        wide = ([size, size] if size >= LARGE else []) + ([header] if header >= LARGE else [])
        extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        self.entries.append(
            struct.pack(
                "<4s6H3L5H2L",
                b"PK\x01\x02",
                0,
                0,
                flags,
                0,
                0,
                0,
                crc,
                short_size,
                short_size,
                len(path),
                len(extra),
                0,
                0,
                0,
                0,
                short_header,
            )
            + path
            + extra
        )

    def finish(self) -> None:
        """Add the records torch ends with and the directory."""
        self.write_record("version", b"3\n")
        names = hashlib.sha256("\n".join(name for name, _ in self.names_and_sums).encode()).digest()
        sums = hashlib.sha256(b"".join(struct.pack("<L", crc) for _, crc in self.names_and_sums)).digest()
        identity = "".join(f"{int.from_bytes(part[:8], 'little'):020d}" for part in (names, sums))
        self.write_record(".data/serialization_id", identity.encode())
        start, count = self.place, len(self.entries)
        self._write(b"".join(self.entries))
        size = self.place - start
        end64 = self.place
        self._write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, size, start))
        self._write(struct.pack("<4sLQL", b"PK\x06\x07", 0, end64, 1))
        short_count = min(count, 0xFFFF)
        self._write(
            struct.pack(
                "<4s4H2LH", b"PK\x05\x06", 0, 0, short_count, short_count, min(size, _U32_MAX), min(start, _U32_MAX), 0
            )
        )
