"""Jacobians: the protocol, the factored one, and the torch.func reference."""
