"""The report: a folder that opens offline, with tables, figures, retrieval pages and origins."""
