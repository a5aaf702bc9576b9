"""What the engine needs of the world, as protocols. Adapters implement them; nothing here does I/O."""
