"""``make compose-test``: compose.yaml brought up for real, with stand-ins for what cannot be had."""
