"""The first run on a GPU: stages in processes of their own, facts as JSON, a table."""
