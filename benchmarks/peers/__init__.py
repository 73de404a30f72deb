"""One file per client that is compared; each is a Peer."""
