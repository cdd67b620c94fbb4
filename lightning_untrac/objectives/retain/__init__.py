"""What is minimised on the data that are to stay, one term a file."""
