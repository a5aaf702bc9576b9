"""What the core needs of the world, as protocols. Adapters implement them; nothing here does I/O."""
