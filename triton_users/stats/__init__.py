"""What was measured: histograms, the recorder of a worker, windows, and their merge into step results."""
