"""From results to two selected groups: pruning, group discovery, evidence."""
