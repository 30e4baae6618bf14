import struct

import pytest

from experiments.results import logs, tensorboard


def test_records_after_the_restored_step_are_dropped_and_torn_lines_skipped(tmp_path):
    with logs.MetricsLog(tmp_path, step=0) as log:
        for step in range(1, 6):
            log.write({"kind": "step", "step": step, "loss": 1.0 / step})
    with open(tmp_path / logs.FILE, "a") as file:
        file.write('{"kind": "st')
    with logs.MetricsLog(tmp_path, step=3) as log:
        log.write({"kind": "step", "step": 4, "loss": 0.0})
    assert [(record["step"], record["loss"]) for record in logs.read_metrics(tmp_path)] == [
        (1, 1),
        (2, 0.5),
        (3, 1 / 3),
        (4, 0),
    ]


@pytest.mark.parametrize(
    ("content", "crc"),
    # The CRC-32C vectors of RFC 3720, App. B.4.
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_checksum(content, crc):
    assert tensorboard.masked_crc32c(content) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_events(folder):
    (path,) = folder.glob("events.out.tfevents.*")
    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert struct.unpack("<I", content[8:12])[0] == tensorboard.masked_crc32c(content[:8])
        event = content[12 : 12 + length]
        assert struct.unpack("<I", content[12 + length : 16 + length])[0] == tensorboard.masked_crc32c(event)
        events.append(event)
        content = content[16 + length :]
    return events


def test_event_files_are_made_of_checked_records_and_made_again_on_resuming(tmp_path):
    for _ in range(2):
        with logs.MetricsLog(tmp_path, step=300) as log:
            log.write({"kind": "epoch", "step": 300, "train_loss": 0.25, "losses": [1.0], "name": "x"})
    version, first, second = read_events(tmp_path / "tensorboard")
    assert version.endswith(b"brain.Event:2")
    for event in (first, second):
        assert event[0] == 0x09
        # Field 2: the step 300 as a varint; field 5: a summary of one tagged float.
        assert event[9:12] == b"\x10\xac\x02"
        assert event.endswith(b"\x0a\x10epoch/train_loss\x15" + struct.pack("<f", 0.25))


def test_a_quiet_log_writes_nothing(tmp_path):
    with logs.MetricsLog(tmp_path, step=0, quiet=True) as log:
        log.write({"kind": "step", "step": 1})
    assert not list(tmp_path.iterdir())


def test_without_a_terminal_there_are_plain_lines_only(capsys):
    with logs.Terminal(10) as terminal:
        terminal.step(3, epoch=1, num_epochs=2, status="loss 1")
        terminal.say("[epoch] 1")
    assert capsys.readouterr().out == "[epoch] 1\n"
