"""Figures of an evaluation, each as SVG, PDF and PNG with its numbers as CSV beside it.

One module a figure. The same numbers give the same bytes.
"""
