"""Mode `routed`'s packet filter, held to rules that were written before it, by packets of every kind."""
