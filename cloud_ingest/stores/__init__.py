"""cloud_ingest/stores."""
