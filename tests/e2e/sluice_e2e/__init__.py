"""The main job on a real Kubernetes: what `make demo` shows and the end-to-end test asserts."""
