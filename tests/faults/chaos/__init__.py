"""Faults at random, for as long as one likes: servers that die everywhere, clients that remember, rules that judge."""
