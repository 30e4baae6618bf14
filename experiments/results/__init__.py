"""What a run leaves: metrics, logs, audits, plots and the summary."""
