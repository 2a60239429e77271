"""The live stream: one board of the wall's state per tenant, fanned out to browsers within their scope."""
