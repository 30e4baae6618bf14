"""Training: one run from its configuration to its summary. The only package that imports optax.

run           the whole run; `loop` its epochs, `finish` the evaluation of the best weights
tasks         what is learned: `labelled` images or images with masks, `segmented`; losses in `objective`, `pixel_objective`
recipe        optimiser, schedule, augmentation and the rest, as one value
state         everything that a step changes
step          the functions of one step, pure
program       these functions compiled, for one or several seeds
optimizers    optimisers and schedules by name
evaluation    logits of a whole split
checkpoints   saving and restoring; `state_arrays` the format
divergence    the step at which values stop being finite, and why
parallel      devices and processes; `locking` and `interruption` other programs and signals
"""
