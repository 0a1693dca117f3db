"""Comparison pairs: read, check, cluster, split, build from graded replies, and a reward model that needs no GPU."""
