"""cloud_ingest/sources."""
