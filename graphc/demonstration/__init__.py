"""`graphc demo`: a small network trained, compiled and run on scikit-learn's digits."""
