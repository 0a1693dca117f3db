"""Judging: what a rule or a small embedded model says of a free response, and what judge models are asked and answer."""
