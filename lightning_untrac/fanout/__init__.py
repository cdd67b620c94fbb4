"""Episodes shared out over processes and machines: shards and Ray."""
