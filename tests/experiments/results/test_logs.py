import struct

from tensorboardX.proto.event_pb2 import Event

from experiments.results import logs


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


def read_events(folder):
    """The events of the only file in a folder: each record is a length, a checksum, the event and a checksum."""
    (path,) = folder.glob("events.out.tfevents.*")
    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events


def test_event_files_hold_the_numbers_and_are_written_again_on_resuming(tmp_path):
    for _ in range(2):
        with logs.MetricsLog(tmp_path, step=300) as log:
            log.write({"kind": "epoch", "step": 300, "train_loss": 0.25, "losses": [1.0], "name": "x"})
    version, *events = read_events(tmp_path / "tensorboard")
    assert version.file_version == "brain.Event:2"
    values = [(event.step, event.summary.value[0].tag, event.summary.value[0].simple_value) for event in events]
    assert values == 2 * [(300, "epoch/train_loss", 0.25)]
    assert [event.wall_time for event in events] == [record["time"] for record in logs.read_metrics(tmp_path)]


def test_a_quiet_log_writes_nothing(tmp_path):
    with logs.MetricsLog(tmp_path, step=0, quiet=True) as log:
        log.write({"kind": "step", "step": 1})
    assert not list(tmp_path.iterdir())


def test_without_a_terminal_there_are_plain_lines_only(capsys):
    with logs.Terminal(10) as terminal:
        terminal.step(3, epoch=1, num_epochs=2, status="loss 1")
        terminal.say("[epoch] 1")
    assert capsys.readouterr().out == "[epoch] 1\n"
