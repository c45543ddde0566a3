"""Masking: what a caller or a model must not see is found by Presidio and hidden by an operator."""
