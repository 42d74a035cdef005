"""A real Kubernetes of one or two nodes on one machine; the command is ../cluster."""
