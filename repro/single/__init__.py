"""One network on videos of one's own: train it, predict with it, export it."""
