"""Accuracy of bundles in the runtime that ships: suites of questions, answers kept on disk, scores with intervals."""
