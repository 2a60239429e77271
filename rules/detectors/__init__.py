"""What judges signals as they come: pure, one small state a stream, the same at the edge and in the cloud."""
