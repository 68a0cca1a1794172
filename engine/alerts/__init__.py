"""Alerts: what the operator must know although nobody looks at the screen."""
