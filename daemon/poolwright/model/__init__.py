"""The frozen values that cross a stage's border. Nothing here does I/O or reads a clock."""
