"""The cycles of the week: which stage runs when, what it leaves in the journal, where it resumes."""
