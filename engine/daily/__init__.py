"""The weekday: from the selected group and today's bars to the trade list."""
