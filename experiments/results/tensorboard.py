"""TensorBoard event files without TensorFlow: length-prefixed records of a small protocol buffer.

Only scalars are written. A record is its length, a checksum of the length, the bytes, and a checksum of those.
"""

import pathlib
import socket
import struct
import time

_POLYNOMIAL = 0x82F63B78


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def masked_crc32c(content: bytes) -> int:
    """The CRC-32C of some bytes, rotated and shifted as record files want it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def scalar_event(tag: str, value: float, step: int, wall_time: float) -> bytes:
    """An `Event` with one scalar summary: fields wall_time = 1, step = 2, summary = 5."""
    summary_value = _bytes_field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
    return _time_field(wall_time) + b"\x10" + _varint(step) + _bytes_field(5, _bytes_field(1, summary_value))


class EventWriter:
    """Appends scalars to a new event file.

    Args:
      folder: made where it is missing; event files of an earlier start of the same run are removed from it.
    """

    def __init__(self, folder: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._file = (folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}").open("wb")
        self._write(_time_field(time.time()) + _bytes_field(3, b"brain.Event:2"))

    def scalar(self, tag: str, value: float, step: int, *, wall_time: float | None = None) -> None:
        """Writes one number."""
        self._write(scalar_event(tag, value, step, time.time() if wall_time is None else wall_time))

    def flush(self) -> None:
        """Hands everything to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        checksums = (struct.pack("<I", masked_crc32c(part)) for part in (length, event))
        self._file.write(length + next(checksums) + event + next(checksums))


def _time_field(wall_time: float) -> bytes:
    return b"\x09" + struct.pack("<d", wall_time)


def _bytes_field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])
