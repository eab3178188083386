"""Graph -> Graph + Report, one file per pass. May import `ir`, `ops`, `errors`, `limits`."""
