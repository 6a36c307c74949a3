"""In place of CASA's settings."""
