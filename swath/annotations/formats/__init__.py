"""The formats annotations come in, a file each: every one of them yields plain rows."""
