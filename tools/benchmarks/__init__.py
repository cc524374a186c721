"""The measurements of `make bench`: one module for each part of docs/performance.md."""
