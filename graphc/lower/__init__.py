"""lower: Graph -> Program, one module per backend; what they share is in the private modules."""
