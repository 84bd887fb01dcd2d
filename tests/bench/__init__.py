"""Benches: ratios measured side by side in one pass, on whatever machine this is. ``make bench`` runs them all."""
