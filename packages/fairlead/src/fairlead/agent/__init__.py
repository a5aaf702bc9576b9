"""Settings, logging, metrics, doors, and the one place that wires everything together."""
