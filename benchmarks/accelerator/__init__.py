"""Everything worth knowing about an accelerator, measured in ten minutes of it."""
