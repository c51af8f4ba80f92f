"""What accepting a job means, for views, pages and batches alike."""
