"""What users see of a training run: a line that lives, a table that grows, a page to keep."""
