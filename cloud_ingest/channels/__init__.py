"""cloud_ingest/channels."""
