"""The console: a window on the engine. It reads views and events and sends commands; it decides nothing."""
