"""Configuration: declared options, their validation, and registries of extensions."""
