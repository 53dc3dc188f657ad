"""Options declared once, their validation, and registries of extensions."""
