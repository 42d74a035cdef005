"""Measures two widget controllers side by side. Reading order: plan, measure, report; then widgets,
process, world."""
