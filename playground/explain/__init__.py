"""What is said of a trace: where and why columns part. Pure functions over step records."""
