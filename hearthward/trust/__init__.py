"""Identity, access policy, audit."""
