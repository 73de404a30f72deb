"""Any model of any Triton: locust -f locustfiles/any.py --headless -m MODEL -H HOST:8001."""

from triton_users import TritonUser


class AnyModel(TritonUser):
    """The model comes from --model; inputs are made from its metadata."""
