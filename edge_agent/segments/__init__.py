"""The outbox on the disk: segment files with a check per row, and the books over them."""
