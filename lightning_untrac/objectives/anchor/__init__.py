"""What holds the weights to where they started, one anchor a file."""
