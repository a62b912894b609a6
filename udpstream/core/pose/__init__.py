"""The arithmetic of scoring poses: landmarks and times in, angles and errors out."""
