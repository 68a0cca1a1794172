"""What must hold after anything that goes wrong: the fault matrix and the kill trials."""
