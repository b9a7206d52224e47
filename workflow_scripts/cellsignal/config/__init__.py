"""The typed configuration, one module per section so that a rule depends on its own section only."""
