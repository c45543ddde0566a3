"""The embedded OIDC issuer and model behind ``make demo``: real processes on loopback, nothing of the gateway."""
