"""Ways to score corpora, one a file."""
