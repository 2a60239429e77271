"""cloud_ingest/records."""
