"""What changes the gradient of the forget term before a step, one a file."""
