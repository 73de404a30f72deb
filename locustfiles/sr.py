"""Super resolution: closed loop at batch 1 and 8, a few concurrencies, then Poisson at half the best rate."""

from triton_users import TritonUser


class SuperResolution(TritonUser):
    model = "espcn"
    options = {
        "batch_size": (1, 8),
        "concurrency_range": (1, 2, 4),
        "request_rate_range": "50%",
        "request_distribution": "poisson",
    }
