"""Pictures and maps that a scan leaves: what was found, laid over the scene itself."""
