"""How much the gateway costs: the model alone, bare mitmdump, and hoopguard with everything on, in one run."""
