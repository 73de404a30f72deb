"""One run that compares the whole `locust` process with Perf Analyzer, h2load and tritonclient.

`make bench`, or `python -m benchmarks --help`. All peers meet the same Triton on loopback, in rounds that
interleave them, so that a slow minute of the machine hits every peer alike.
"""
