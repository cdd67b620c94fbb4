"""What is minimised on the forget set, one term a file."""
