"""What the screens showed, kept by market day: written by the engine, replayed by the console."""
