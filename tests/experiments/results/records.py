"""Records of runs that did not take place, for tests of tables."""

from experiments.config import rows, saved


def record(row="rotmnist:p4_cnn", accuracies=(0.974, 0.976), **config):
    """A record of the network of a row with these test accuracies; other settings of the training by name."""
    settings = saved.as_plain(rows.config_of(rows.find(row))) | config
    mean = sum(accuracies) / len(accuracies)
    return {
        "model": settings["model"],
        "dataset": settings["dataset"],
        "epochs": settings["num_epochs"],
        "seeds": list(range(len(accuracies))),
        "parameters": 24610,
        "num_train": 10000,
        "test_reads": len(accuracies),
        "test_accuracy": mean,
        "test_accuracy_by_seed": list(accuracies),
        "test_accuracy_std": 0.001 if len(accuracies) > 1 else None,
        "validation_by_run": [0.98],
        "equivariance": {"group": "p4", "relative": [0.0, 3e-7]},
        "seconds": 5400,
        "environment": {"num_devices": 2, "device": "cpu", "commit": "abc1234"},
        "flops": 1e6,
        "metric": "accuracy",
        "scores": list(accuracies),
        "command": f"python -m experiments.main --config {row}",
        "config": settings,
    }
