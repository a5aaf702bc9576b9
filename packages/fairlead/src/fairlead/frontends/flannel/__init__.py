"""flannel's extension backend: what flanneld runs at each turn of a lease."""
