"""Settings, logging, metrics, and the one place that wires everything together."""
