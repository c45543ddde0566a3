"""Who asks: credentials, OIDC keys and tokens, principals, permissions."""
