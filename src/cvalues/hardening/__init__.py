"""Closing the loop: where a model is weak, what to do about it, what it brought; pure functions and the words for them."""
