"""A fault proxy between sluice-controller and a real API server, and what is asserted by it."""
