"""What every verb with a model does: its folder, its identity, its checkpoints, its Trainer, and how it ends."""
