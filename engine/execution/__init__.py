"""From an approved trade list to a flat account: gates, orders, TSH, reconcile, flatten."""
