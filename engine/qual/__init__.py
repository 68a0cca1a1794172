"""News: a bounded, quoted, labelled opinion about the shortlist; it can only tilt or veto."""
