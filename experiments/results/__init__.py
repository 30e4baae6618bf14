"""Results of a run: metrics, summaries, logs and plots. Nothing here depends on how a network is trained.

metrics        loss, accuracy, confusion matrix, calibration of logits
segmentation   Dice, intersection over union, Hausdorff distance of masks
equivariance   how much logits change under the group
audits         the equivariance error of every layer
logs           metrics.jsonl, TensorBoard, the terminal
summary        summary.json: writing, reading, comparing
collecting     finished runs as records, with their seeds merged; `commands` repeats them
records        the recorded runs in experiments/recorded, and the baselines that summaries quote
tables         which record belongs to which row of a table
comparison     differences over seeds; `claims` judges the orders of the papers by them
page           RESULTS.md
printing       the summary on the terminal
plots          pictures, from arrays; `pictures` draws those of a finished run
environment    hardware, versions and commit
"""
