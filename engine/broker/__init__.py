"""The broker border: Alpaca's REST and its two sockets, in typed values; nothing above it sees JSON."""
