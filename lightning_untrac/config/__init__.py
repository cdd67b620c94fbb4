"""From the command line and recipes to checked settings."""
