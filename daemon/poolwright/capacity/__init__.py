"""What a replica carries at the SLO, what the demand needs, which pools should serve it. Pure."""
