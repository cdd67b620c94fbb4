"""The verbs of ``untrac``, one a file: options, checks, then the work."""
